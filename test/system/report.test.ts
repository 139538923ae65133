// 100,000 transactions in a process that may not use more than 96 MB of heap.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { withRedis } from '../support/with-redis.ts';

vi.setConfig({ testTimeout: 180_000 });

const cli = path.resolve('src/cli.ts');
const transactions = 100_000;
const heapMb = 96;
const stallMs = 5;

const { server: redis } = await withRedis({ durable: false });

/** A reader that is slower than the report: what it has not taken must not pile up in memory. */
function stall(stream: Readable): void {
  stream.pause();
  setTimeout(() => stream.resume(), stallMs);
}

test('a report of 100,000 transactions streams within 96 MB of heap', async () => {
  const gateway = createGatewaySimulator();
  const { url } = await gateway.listen();
  const dayMs = 86_400_000;
  const createdAt = new Date(Date.now() - dayMs).toISOString();
  gateway.addTransactions({ count: transactions, createdAt, everyMs: dayMs / transactions });
  const args = ['report', '--from', createdAt, '--to', new Date().toISOString(), '--transactions', '--csv'];
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${heapMb}`, '--disable-warning=ExperimentalWarning', cli, ...args],
    {
      env: { PATH: process.env['PATH'], REDIS_URL: redis.url, GATEWAY_BASE_URL: url, GATEWAY_API_KEY: simulatorKey },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let lines = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 0x0a) lines += 1;
    if (lines < transactions / 2) stall(child.stdout);
  });
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(lines).toBe(transactions + 1);
  await gateway.close();
});
