// The manifests allow a receiver 512 Mi, so batches read from the spool are also limited by bytes.
import { Redis } from 'ioredis';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import { newReference, testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const bodies = 300;
const bodyBytes = 250_000;
const peakBytesMax = 460 * 1_048_576;

test.skipIf(process.platform !== 'linux')(
  'drains 300 bodies of 250 kB well within the memory that the manifests allow',
  async () => {
    const port = await freePort();
    await using service = await startService({
      roles: ['receive'],
      env: { PAYALO_API_KEYS: testKey, REDIS_URL: `redis://127.0.0.1:${port}`, ACK_BUDGET: '1s' },
    });
    for (let number = 0; number < bodies; number += 1) expect(await post(service)).toBe(200);
    await using server = await startRedis({ port });
    const redis = new Redis(server.url);
    try {
      await until(async () => (await redis.llen('{payalo}:payalo-callbacks:wait')) === bodies, { timeoutMs: 60_000 });
    } finally {
      redis.disconnect();
    }
    expect(peakBytes(service.pid)).toBeLessThan(peakBytesMax);
  },
  120_000,
);

async function post({ url }: TestService): Promise<number> {
  const body = JSON.stringify({ status: 'success', gatewayReference: newReference(), note: '"'.repeat(bodyBytes / 2) });
  const response = await fetch(`${url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  await response.arrayBuffer();
  return response.status;
}

/** The process's peak resident memory. */
function peakBytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}
