import { Queue } from 'bullmq';
import { beforeEach, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createAcceptBatch, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { readClaims } from '../../src/store/accept/claims.ts';
import { createNonce, jobIdOf, toJobData } from '../../src/callback/job.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { callbackOf, newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const times = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let bull: Queue;

beforeEach(() => {
  queue = newQueue();
  bull = new Queue(queue.name, { prefix: queue.prefix, connection: redis });
});

function itemOf(reference: string): AcceptItem {
  const callback = callbackOf({ reference });
  const receivedAtMs = Date.now();
  const origin = { brand: 'default', source: 'callback', receivedAt: new Date(receivedAtMs).toISOString() } as const;
  const data = JSON.stringify(toJobData(callback, { ...origin, requestId: 'request' }));
  return { callback, source: 'callback', receivedAtMs, nonce: createNonce(), data };
}

/** Stores a callback and puts its job into a state, as a worker would. */
async function jobIn(state: 'completed' | 'failed' | 'delayed' | 'wait', fields: Record<string, string | number> = {}) {
  const reference = newReference();
  const accept = createAcceptBatch(redis, queue, times, { replicas: 0, timeoutMs: 0 });
  const item = itemOf(reference);
  await accept([item]);
  const digest = digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind });
  const jobId = jobIdOf(digest, item.nonce);
  if (state !== 'wait') {
    await redis.lrem(`${queue.base}:wait`, 1, jobId);
    await redis.zadd(`${queue.base}:${state}`, Date.now(), jobId);
    await redis.del(`${queue.base}:marker`);
  }
  if (Object.keys(fields).length > 0) await redis.hset(keysOf.job(queue, jobId), fields);
  return { jobId, digest, accept: async () => (await accept([itemOf(reference)])).outcomes };
}

const attempt = '{"at":1,"status":200,"ms":3,"attempt":4}';

test.for([
  ['failed', { atm: 4, failedReason: 'HTTP 500', finishedOn: 1, processedOn: 1, stacktrace: '[]' }, []],
  ['completed', { atm: 4, returnvalue: attempt, finishedOn: 1, processedOn: 1 }, [attempt]],
  ['completed', { atm: 4, returnvalue: '"by a worker of the merchant"', finishedOn: 1 }, []],
  ['delayed', { atm: 4, delay: 5_000, processedOn: 1 }, []],
] as const)('puts a %s job back as if it were new, and keeps its attempts', async ([state, fields, log]) => {
  const { jobId, digest, accept } = await jobIn(state, fields);
  const [before] = await readClaims(redis, queue, [digest]);
  expect(await replay(redis, queue, jobId)).toEqual({ kind: 'replayed' });

  const job = await bull.getJob(jobId);
  expect(await job?.getState()).toBe('waiting');
  expect(job).toMatchObject({ attemptsMade: 0, delay: 0, returnvalue: null });
  expect(job?.failedReason).toBeUndefined();
  expect(job?.finishedOn).toBeUndefined();
  expect(await redis.hget(keysOf.job(queue, jobId), 'attemptsBefore')).toBe('4');
  expect(await redis.lrange(keysOf.jobLog(queue, jobId), 0, -1)).toEqual(log);
  expect(await redis.zscore(`${queue.base}:marker`, '0')).toBe('0');
  // The claim is unchanged: the gateway's next callback is a duplicate, and a further replay does nothing.
  expect(await readClaims(redis, queue, [digest])).toEqual([before]);
  expect(await accept()).toEqual(['duplicate']);
  expect(await replay(redis, queue, jobId)).toEqual({ kind: 'in-progress' });
});

test('wakes no worker while the queue is paused', async () => {
  const { jobId } = await jobIn('failed');
  await bull.pause();
  expect(await replay(redis, queue, jobId)).toEqual({ kind: 'replayed' });
  expect(await redis.exists(`${queue.base}:marker`)).toBe(0);
});

test('reports what cannot be replayed, and why', async () => {
  const waiting = await jobIn('wait');
  expect(await replay(redis, queue, waiting.jobId)).toEqual({ kind: 'in-progress' });
  const superseded = await jobIn('completed', { superseded: 1 });
  expect(await replay(redis, queue, superseded.jobId)).toEqual({ kind: 'superseded' });
  const removed = await jobIn('completed');
  await (await bull.getJob(removed.jobId))?.remove();
  expect(await replay(redis, queue, removed.jobId)).toEqual({ kind: 'removed' });
  await redis.append(keysOf.claim(queue, removed.digest), ',delivered,abc');
  expect(await replay(redis, queue, removed.jobId)).toEqual({ kind: 'gone' });
  expect(await replay(redis, queue, 'never-heard-of.x')).toEqual({ kind: 'not-found' });
});
