// The sizes behind the arithmetic of docs/scaling.md, measured with the gateway's example.
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createAcceptBatch, batchSizeMax } from '../../src/store/accept/accept-batch.ts';
import { createNonce, toJobData } from '../../src/callback/job.ts';
import { callbackOf } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { serviceQueue } from '../support/queues.ts';

const count = 4_000;
/** An entry of Redis's table of expiries: its 24 bytes and its place in the table. */
const expiryBytes = 32;
const dayMs = 86_400_000;
const times = {
  DEDUP_TTL: 14 * dayMs,
  RETAIN_COMPLETED: 3 * dayMs,
  RETAIN_FAILED: 90 * dayMs,
  QUARANTINE_RETAIN: 30 * dayMs,
};

test(
  'a callback in Redis costs less than 2.4 kB, what taking it writes to the append-only file less than 1.7 kB, and its reference alone less than 200 B',
  { timeout: 120_000 },
  async () => {
    await using server = await startRedis();
    const redis = new Redis(server.url);
    const queue = serviceQueue();
    const accept = createAcceptBatch(redis, queue, times, { replicas: 0, timeoutMs: 0 });
    const before = await bytesOf(redis);
    for (let at = 0; at < count; at += batchSizeMax) {
      await accept(Array.from({ length: batchSizeMax }, (_, offset) => itemOf(at + offset)));
    }
    const after = await bytesOf(redis);

    // The rest after retention has removed everything else. Redis counts a key's expiry separately.
    const [claim = ''] = await redis.keys('*/c:*');
    const reference = Number(await redis.memory('USAGE', claim)) + expiryBytes;
    redis.disconnect();

    const each = {
      memory: Math.round((after.memory - before.memory) / count),
      disk: Math.round((after.disk - before.disk) / count),
      reference,
    };
    console.log(`bytes a callback: ${JSON.stringify(each)}`);
    expect(each.memory).toBeLessThan(2_400);
    expect(each.disk).toBeLessThan(1_700);
    expect(each.reference).toBeLessThan(180);
  },
);

function itemOf(number: number) {
  const suffix = String(number).padStart(9, '0');
  const callback = callbackOf({ reference: `b2p01j3abcdef00000000000${suffix}`, merchantReference: `order-${suffix}` });
  const receivedAtMs = Date.now();
  const origin = {
    brand: 'default',
    source: 'callback',
    receivedAt: new Date(receivedAtMs).toISOString(),
    requestId: '0190f3f8-7a1e-7cc0-8d3a-4e5f6a7b8c9d',
  } as const;
  return {
    callback,
    source: origin.source,
    receivedAtMs,
    nonce: createNonce(),
    data: JSON.stringify(toJobData(callback, origin)),
  };
}

async function bytesOf(redis: Redis): Promise<{ memory: number; disk: number }> {
  const info = `${await redis.info('memory')}${await redis.info('persistence')}`;
  const read = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  return { memory: read('used_memory'), disk: read('aof_current_size') };
}
