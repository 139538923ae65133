// What happens to a job whose callback is corrected, in each BullMQ state, and when workers are woken for the new one.
import { beforeEach, describe, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createNonce, jobIdOf, toJobData, type Replaced, type Source } from '../../src/callback/job.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createAcceptBatch } from '../../src/store/accept/accept-batch.ts';
import { callbackOf, newReference, type CallbackFields } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const settings = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 60_000, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let reference: string;

beforeEach(() => {
  queue = newQueue();
  reference = newReference();
});

const at = (name: string) => `${queue.base}:${name}`;
const fieldsOf = (jobId: string) => redis.hgetall(keysOf.job(queue, jobId));

async function accept(fields: CallbackFields, source: Source = 'callback', replaces?: Replaced): Promise<string> {
  const callback = callbackOf({ reference, ...fields });
  const { gatewayReference } = callback;
  const receivedAtMs = Date.now();
  const receivedAt = new Date(receivedAtMs).toISOString();
  const nonce = createNonce();
  const data = JSON.stringify(
    toJobData(callback, { brand: 'default', source, receivedAt, requestId: 'request', replaces }),
  );
  const item = { callback, source, receivedAtMs, nonce, data, replaces };
  await createAcceptBatch(redis, queue, settings, { replicas: 0, timeoutMs: 0 })([item]);
  return jobIdOf(digestOf({ brand: 'default', gatewayReference, kind: terminalKind }), nonce);
}

const correct = (sequence = 0) =>
  sequence === 0
    ? accept({ status: 'failed' }, 'correction', { sequence, status: 'success', amount: '100KES' })
    : accept({ status: 'success' }, 'correction', { sequence, status: 'failed', amount: '100KES' });

/** An original in that BullMQ state. */
async function originalIn(place: 'wait' | 'delayed' | 'failed' | 'held' | 'active' | 'completed'): Promise<string> {
  const jobId = await accept({});
  if (place === 'wait') return jobId;
  await redis.lrem(at('wait'), 0, jobId);
  if (place === 'active') await redis.lpush(at('active'), jobId);
  else await redis.zadd(place === 'held' ? keysOf.held(queue) : at(place), 1, jobId);
  return jobId;
}

describe('a job that is corrected', () => {
  test.for(['wait', 'delayed', 'failed', 'held'] as const)('while it is in %s ends as superseded', async (place) => {
    const original = await originalIn(place);
    await redis.hset(keysOf.job(queue, original), 'failedReason', 'HTTP 500');
    const before = Date.now();
    const correction = await correct();
    const { superseded, returnvalue, finishedOn, failedReason } = await fieldsOf(original);
    expect({ superseded, returnvalue, failedReason }).toEqual({
      superseded: '1',
      returnvalue: '{"superseded":true}',
      failedReason: undefined,
    });
    expect(Number(finishedOn)).toBeGreaterThanOrEqual(before);
    expect(Number(finishedOn)).toBeLessThan(before + 60_000);
    expect(await redis.zscore(at('completed'), original)).toBe(finishedOn);
    expect(await redis.lrange(at('wait'), 0, -1)).toEqual([correction]);
    for (const left of [at('delayed'), at('failed'), keysOf.held(queue)]) expect(await redis.exists(left)).toBe(0);
    const events = (await redis.xrange(at('events'), '-', '+')).map(([, fields]) => fields);
    const told = ['event', 'completed', 'jobId', original, 'returnvalue', '{"superseded":true}'];
    expect(events).toContainEqual(told);
  });

  test('while a worker has it is marked, and the worker decides', async () => {
    const original = await originalIn('active');
    const correction = await correct();
    const { superseded, returnvalue } = await fieldsOf(original);
    expect({ superseded, returnvalue }).toEqual({ superseded: '1', returnvalue: undefined });
    expect(await redis.lrange(at('active'), 0, -1)).toEqual([original]);
    expect(await redis.exists(at('completed'))).toBe(0);
    expect(await fieldsOf(correction)).not.toHaveProperty('isUnseen');
  });

  test('after its delivery stays delivered', async () => {
    const original = await originalIn('completed');
    await correct();
    expect(await fieldsOf(original)).not.toHaveProperty('superseded');
    expect(await redis.zscore(at('completed'), original)).toBe('1');
  });

  test('after it was removed is not recreated', async () => {
    const original = await originalIn('wait');
    await redis.multi().del(keysOf.job(queue, original)).del(at('wait')).exec();
    const correction = await correct();
    expect(await redis.exists(keysOf.job(queue, original))).toBe(0);
    expect(await redis.lrange(at('wait'), 0, -1)).toEqual([correction]);
  });
});

describe('the first result that workers see of a callback', () => {
  test('is a correction of what waits untried, and the correction of that one; each names what it replaced', async () => {
    const original = await originalIn('wait');
    const first = await correct();
    const second = await correct(1);
    expect(await fieldsOf(first)).toMatchObject({ isUnseen: '1', corrects: original });
    expect(await fieldsOf(second)).toMatchObject({ isUnseen: '1', corrects: `${first},${original}` });
  });

  test('is never a correction after an attempt was begun', async () => {
    const original = await originalIn('delayed');
    await redis.hset(keysOf.job(queue, original), 'ats', 1);
    expect(await fieldsOf(await correct())).not.toHaveProperty('isUnseen');
    expect(await fieldsOf(await correct(1))).not.toHaveProperty('isUnseen');
  });
});

describe('workers are woken for a new job', () => {
  test.for([
    ['without a limit', {}, 5, true],
    ['below the limit', { concurrency: 2 }, 1, true],
    ['not at the limit', { concurrency: 2 }, 2, false],
    ['not while the queue is paused', { paused: 1 }, 0, false],
  ] as const)('%s', async ([, meta, active, isWoken]) => {
    for (const [field, value] of Object.entries(meta)) await redis.hset(at('meta'), field, value);
    for (let number = 0; number < active; number += 1) await redis.lpush(at('active'), `job${number}`);
    await accept({});
    expect(await redis.zscore(at('marker'), '0')).toBe(isWoken ? '0' : null);
  });

  test('and not for a duplicate', async () => {
    await accept({});
    await redis.del(at('marker'));
    await accept({});
    expect(await redis.exists(at('marker'))).toBe(0);
    expect(await redis.get(at('id'))).toBe('1');
  });
});
