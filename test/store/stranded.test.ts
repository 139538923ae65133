// A job that exists but whose id is in no list: after a power failure that tore Redis's file, or because of another program.
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { toJobData } from '../../src/callback/job.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createAcceptBatch } from '../../src/store/accept/accept-batch.ts';
import { createStranded, requeueStranded } from '../../src/store/lifecycle/stranded.ts';
import { callbackOf, newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { newQueue } from '../support/queues.ts';

const times = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };

const { server, redis } = await withRedis();
let queue: BrandQueue;

beforeAll(async () => {
  redis.on('error', () => {});
});

beforeEach(() => {
  queue = newQueue();
});

async function accept(count: number): Promise<string[]> {
  const acceptBatch = createAcceptBatch(redis, queue, times, { replicas: 0, timeoutMs: 0 });
  for (let at = 0; at < count; at += 1) {
    const callback = callbackOf({ reference: newReference(), status: 'success', amount: '1.00' });
    const origin = {
      brand: 'default',
      source: 'callback',
      receivedAt: new Date().toISOString(),
      requestId: 'r',
    } as const;
    const data = JSON.stringify(toJobData(callback, origin));
    await acceptBatch([{ callback, source: 'callback', receivedAtMs: Date.now(), nonce: `.n${at}`, data }]);
  }
  return (await waiting()).toReversed();
}

const waiting = () => redis.lrange(`${queue.base}:wait`, 0, -1);
const placeOf = (name: string) => `${queue.base}:${name}`;

test('is requeued once, and no other job changes', async () => {
  const [stranded = '', ...others] = await accept(6);
  const [delayed = '', active = '', failed = '', finished = '', held = ''] = others;
  for (const id of [stranded, ...others]) await redis.lrem(placeOf('wait'), 0, id);
  await redis.zadd(placeOf('delayed'), 1, delayed);
  await redis.lpush(placeOf('active'), active);
  await redis.zadd(placeOf('failed'), 1, failed);
  await redis.hset(keysOf.job(queue, finished), { finishedOn: 5, returnvalue: '{}' });
  await redis.hset(keysOf.job(queue, held), { held: 'denied', confirmed: 'denied' });
  expect(await requeueStranded(redis, queue)).toBe(3);
  expect(await redis.zrange(keysOf.held(queue), '0', '-1')).toEqual([held]);
  expect(await waiting()).toEqual([stranded]);
  expect(await redis.zrange(placeOf('completed'), '0', '-1', 'WITHSCORES')).toEqual([finished, '5']);
  expect(await requeueStranded(redis, queue)).toBe(0);
});

test.each([
  ['whose lock a worker holds', (id: string) => redis.set(`${keysOf.job(queue, id)}:lock`, 'token')],
  ['that is being moved to another brand', (id: string) => redis.hset(keysOf.moving(queue), id, 'wait 1')],
  ['whose body is gone', (id: string) => redis.hdel(keysOf.job(queue, id), 'data')],
])('is left alone: one %s', async (_, mark) => {
  const [id = ''] = await accept(1);
  await redis.lrem(placeOf('wait'), 0, id);
  await mark(id);
  expect(await requeueStranded(redis, queue)).toBe(0);
});

test('is found while the service runs, even if another program’s id hides it, as soon as Redis is back', async () => {
  const logged: object[] = [];
  const lookedLately = keysOf.strandedLook(queue);
  const log = { warn: (fields: object) => void logged.push(fields) };
  const stranded = createStranded({ redis, queues: new Map([['default', queue]]), log, everyMs: 20 });
  stranded.start();
  try {
    const [one = '', other = ''] = await accept(2);
    await redis.lrem(placeOf('wait'), 0, one);
    await redis.del(lookedLately);
    await until(() => logged.length > 0);
    expect(await waiting()).toEqual([one, other]);
    expect(logged).toEqual([{ event: 'queue.stranded_jobs_requeued', brand: 'default', jobs: 1 }]);
    // The file was torn in the middle of an id, so the length of the list did not change.
    await redis.lrem(placeOf('wait'), 0, other);
    await redis.lpush(placeOf('wait'), `${other.slice(0, 8)}\0\0\0\0`);
    await redis.del(lookedLately);
    await server.restart();
    await until(async () => (await waiting()).includes(other));
  } finally {
    await stranded.stop();
  }
});
