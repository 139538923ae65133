// Jobs that another program removes from the queue: they count as `delivered` only with a record of the delivery.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { brandQueue, keysOf } from '../../src/redis/brand-queue.ts';
import { readClaims } from '../../src/store/accept/claims.ts';
import { createDeliveryRecords, followDeliveries } from '../../src/store/callbacks/delivery-records.ts';
import { erase } from '../../src/store/lifecycle/erase.ts';
import { createCallbackIndex, type CallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { findRemoved } from '../../src/store/callbacks/removed-jobs.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { createRetention } from '../../src/store/lifecycle/retention.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks, type StoredFields } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const { server } = await withRedis();
let stored: StoredCallbacks;
let callbackIndex: CallbackIndex;
let bull: Queue;
let connection: Redis;

const hour = 3_600_000;
const log = pino({ level: 'silent' });
const closers: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  stored = createStoredCallbacks(server.url);
  callbackIndex = createCallbackIndex(stored);
  connection = new Redis(server.url, { maxRetriesPerRequest: null });
  bull = new Queue(stored.queue.name, { connection, prefix: stored.prefix });
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await bull.close();
  connection.disconnect();
  await stored[Symbol.asyncDispose]();
});

const found = async (reference: string) => (await callbackIndex.find(reference))?.callback;
const stateOf = async (reference: string) => (await found(reference))?.state;
/** As reconciliation hands in what it found removed. */
async function handInAgain(reference: string, fields: StoredFields = {}) {
  const insteadOf = (await jobIdOf(reference)).replace(/^.*(?=\.)/, '');
  await stored.store({ reference, source: 'records', insteadOf, ...fields });
}
const jobIdOf = async (reference: string) => (await found(reference))?.jobId ?? '';

/** The merchant's own worker, until it is closed. */
function foreignWorker(options: object, handle: () => Promise<unknown> = async () => 'ok') {
  const own = new Redis(server.url, { maxRetriesPerRequest: null });
  const worker = new Worker(stored.queue.name, handle, { connection: own, prefix: stored.prefix, ...options });
  worker.on('error', () => undefined);
  closers.push(async () => {
    await worker.close(true);
    own.disconnect();
  });
  return worker;
}

const retention = (overrides = {}) =>
  createRetention({
    ...stored,
    config: {
      RETAIN_COMPLETED: 0,
      DEDUP_TTL: hour,
      RETAIN_COMPLETED_MAX: 0,
      RETAIN_FAILED: hour,
      ...overrides,
    },
    log,
    now: () => Date.now() + 1,
  });

const removals: Readonly<Record<string, () => Promise<unknown>>> = {
  'queue.drain()': async () => bull.drain(),
  'queue.obliterate()': async () => {
    await bull.pause();
    await bull.obliterate();
  },
  'queue.clean()': async () => bull.clean(0, 0, 'wait'),
  'job.remove()': async () => {
    for (const job of await bull.getJobs()) await job.remove();
  },
  'a DEL of the job': async () => {
    for (const job of await bull.getJobs()) await stored.redis.del(keysOf.job(stored.queue, job.id ?? ''));
  },
};

describe('removed', () => {
  for (const [name, remove] of Object.entries(removals)) {
    test(`is what a waiting callback is after ${name}, not delivered`, async () => {
      const reference = await stored.store();
      await remove();
      expect(await found(reference)).toMatchObject({ state: 'removed', deliveredAt: null, body: null });
    });
  }

  test('is what a retrying callback is after queue.drain(true), and a failed one after clean', async () => {
    const retrying = await stored.store();
    await stored.retryLater(Date.now() + hour);
    const failed = await stored.store();
    await stored.fail();
    await bull.drain(true);
    await bull.clean(0, 0, 'failed');
    expect([await stateOf(retrying), await stateOf(failed)]).toEqual(['removed', 'removed']);
  });

  test('is what a callback is after another worker with removeOnFail gave it up', async () => {
    const reference = await stored.store();
    const [job] = await bull.getJobs();
    await stored.redis.hset(keysOf.job(stored.queue, job?.id ?? ''), 'opts', '{"attempts":1}');
    foreignWorker({ removeOnFail: { count: 0 } }, async () => Promise.reject(new Error('no')));
    await until(async () => (await bull.getJobs()).length === 0);
    expect(await stateOf(reference)).toBe('removed');
  });

  test('is listed, and counted, until it is delivered after all', async () => {
    await stored.store();
    await stored.deliver();
    const reference = await stored.store({ merchantReference: 'm-9' });
    await bull.drain();
    const listed = await callbackIndex.list({ state: 'removed', limit: 10 });
    expect(listed.data).toMatchObject([{ state: 'removed', status: 'success', deliveredAt: null }]);
    const mine = await callbackIndex.list({ merchantReference: 'm-9', limit: 10 });
    expect(mine.data).toMatchObject([{ state: 'removed' }]);
    await retention({ RETAIN_COMPLETED_MAX: 10, RETAIN_COMPLETED: hour }).sweep();
    expect((await callbackIndex.list({ state: 'removed', limit: 10 })).data).toHaveLength(1);
    await handInAgain(reference, { merchantReference: 'm-9' });
    expect(await stateOf(reference)).toBe('queued');
    expect((await callbackIndex.list({ state: 'removed', limit: 10 })).data).toEqual([]);
    await stored.deliver();
    expect((await callbackIndex.list({ limit: 10 })).data).toMatchObject([
      { state: 'delivered' },
      { state: 'delivered' },
    ]);
  });

  test('cannot be replayed from here, nor erased, since it is still to be delivered', async () => {
    const reference = await stored.store();
    const jobId = await jobIdOf(reference);
    await bull.drain();
    expect(await replay(stored.redis, stored.queue, jobId)).toEqual({ kind: 'removed' });
    expect(await erase(stored.redis, stored.queue, reference)).toEqual({ kind: 'in-progress' });
  });
});

describe('a callback that reconciliation hands in again', () => {
  test('is queued once under its sequence, and again when it is removed again', async () => {
    const reference = await stored.store({ status: 'failed' });
    await stored.deliver();
    await stored.store({ reference, source: 'correction' });
    const before = await found(reference);
    for (let round = 0; round < 2; round += 1) {
      await bull.drain();
      expect(await stateOf(reference)).toBe('removed');
      await Promise.all([handInAgain(reference), handInAgain(reference, { source: 'status' }), handInAgain(reference)]);
      expect(await found(reference)).toMatchObject({ state: 'queued', sequence: 1, webhookId: before?.webhookId });
      expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(1);
    }
  });

  test('is a duplicate while the job is in any state, and once it was delivered', async () => {
    const reference = await stored.store();
    const again = async () => {
      await handInAgain(reference);
      return bull.getJobCountByTypes('wait', 'active', 'delayed', 'completed', 'failed', 'prioritized');
    };
    expect(await again()).toBe(1);
    await stored.retryLater(Date.now() + hour);
    expect(await again()).toBe(1);
    for (const job of await bull.getDelayed()) await job.promote();
    await stored.deliver();
    expect(await again()).toBe(1);
    await retention().sweep();
    expect(await again()).toBe(0);
    expect(await stateOf(reference)).toBe('delivered');
  });

  test('is a duplicate if the finder did not know of the removal', async () => {
    const reference = await stored.store();
    await bull.drain();
    await stored.store({ reference, source: 'records' });
    expect(await stateOf(reference)).toBe('removed');
    await stored.store({ reference, source: 'records', insteadOf: '.another' });
    expect(await stateOf(reference)).toBe('removed');
  });

  test('is not queued by the gateway sending the callback once more, which may be a second try', async () => {
    const reference = await stored.store();
    await bull.drain();
    await stored.store({ reference });
    expect(await found(reference)).toMatchObject({ state: 'removed', duplicates: 1 });
  });
});

describe('delivered', () => {
  test('is recorded for a callback that another worker completed and removed at once', async () => {
    const reference = await stored.store({ merchantReference: 'm-7' });
    foreignWorker({ removeOnComplete: { count: 0 } });
    await until(async () => (await bull.getJobs()).length === 0);
    const view = await found(reference);
    expect(view).toMatchObject({ state: 'delivered', body: null });
    expect(Date.parse(view?.deliveredAt ?? '')).toBeGreaterThanOrEqual(Date.parse(view?.receivedAt ?? ''));
    await handInAgain(reference);
    expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(0);
    expect((await callbackIndex.list({ state: 'removed', limit: 10 })).data).toEqual([]);
  });

  test('is recorded for a callback that another worker completed and a dashboard cleaned, even with its events trimmed since', async () => {
    const reference = await stored.store();
    foreignWorker({});
    await until(async () => (await bull.getCompletedCount()) === 1);
    // As time does: the gate looks at what was completed some seconds ago.
    await followDeliveries(stored.redis, stored.queue, { nowMs: Date.now() + 10_000 });
    await stored.redis.del(`${stored.queue.base}:events`);
    await bull.clean(0, 0, 'completed');
    expect(await stateOf(reference)).toBe('delivered');
  });

  test('is recorded although the queue is obliterated, if the built-in worker delivered it', async () => {
    const reference = await stored.store();
    const jobId = await jobIdOf(reference);
    const records = createDeliveryRecords({ redis: stored.redis, queue: stored.queue, log });
    const job = await stored.take();
    records.take(jobId);
    await bull.pause();
    await bull.obliterate({ force: true });
    records.delivered(jobId, Date.now());
    records.release(jobId);
    await expect(job.moveToCompleted({ attempt: 1 }, 'token', false)).rejects.toThrow('Missing');
    await records.stop();
    expect(await stateOf(reference)).toBe('delivered');
    await handInAgain(reference);
    expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(0);
  });

  test('is never recorded for the correction by a delivery of what it replaced', async () => {
    const reference = await stored.store({ status: 'failed' });
    const jobId = await jobIdOf(reference);
    const records = createDeliveryRecords({ redis: stored.redis, queue: stored.queue, log });
    await stored.store({ reference, source: 'correction' });
    records.delivered(jobId, Date.now());
    await records.stop();
    await bull.drain();
    expect(await stateOf(reference)).toBe('removed');
  });
});

test('a callback that a worker still holds is being delivered, although its job is gone, and is not queued again', async () => {
  const reference = await stored.store();
  const jobId = await jobIdOf(reference);
  const records = createDeliveryRecords({ redis: stored.redis, queue: stored.queue, log });
  records.start();
  closers.push(async () => records.stop());
  await stored.take();
  records.take(jobId);
  await bull.pause();
  await bull.obliterate({ force: true });
  await until(async () => (await stateOf(reference)) === 'delivering');
  await handInAgain(reference);
  expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(0);
});

test('a dead worker whose clock was a month ahead hides removed callbacks no longer than any other', async () => {
  const jobId = await jobIdOf(await stored.store());
  await stored.take();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30 * 24 * hour });
  try {
    const records = createDeliveryRecords({ redis: stored.redis, queue: stored.queue, log });
    records.take(jobId);
    const takenAtMs = performance.now();
    await until(() => performance.now() - takenAtMs > 600);
    await records.stop();
  } finally {
    vi.useRealTimers();
  }
  const endsAtMs = Number(await stored.redis.zscore(keysOf.inHand(stored.queue), jobId));
  expect(endsAtMs).toBeGreaterThan(Date.now());
  expect(endsAtMs).toBeLessThan(Date.now() + 11_000);
});

test('a lease further ahead than possible, left by a Redis clock that was ahead, hides nothing', async () => {
  const reference = await stored.store();
  const jobId = await jobIdOf(reference);
  await stored.redis.zadd(keysOf.inHand(stored.queue), Date.now() + hour, jobId);
  await bull.drain();
  expect(await stateOf(reference)).toBe('removed');
  expect((await callbackIndex.list({ state: 'removed', limit: 10 })).data).toHaveLength(1);
  await handInAgain(reference);
  expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(1);
});

test('a callback on its way to another brand name is not removed, and not delivered from both', async () => {
  const reference = await stored.store();
  const jobId = await jobIdOf(reference);
  const [digest = '', nonce] = jobId.split('.');
  const acme = brandQueue('acme', stored.queue.naming);
  // As `brand move default acme` leaves it between its first step and its last.
  await stored.redis.set(keysOf.lineage(acme), JSON.stringify({ formerly: ['default'] }));
  await stored.redis.set(
    keysOf.claim(acme, digest),
    (await stored.redis.get(keysOf.claim(stored.queue, digest))) ?? '',
  );
  const there = createCallbackIndex({ ...stored, queues: new Map([['acme', acme]]) });
  expect((await there.find(reference))?.callback).toMatchObject({ brand: 'acme', state: 'queued' });
  const claims = await readClaims(stored.redis, acme, [digest]);
  expect(claims).toMatchObject([{ nonce: `.${nonce}` }]);
  const known = claims.filter((claim) => claim !== undefined);
  expect(await findRemoved(stored.redis, acme, known)).toEqual(new Set());
  await bull.drain();
  expect(await findRemoved(stored.redis, acme, known)).toEqual(new Set([jobId]));
});
