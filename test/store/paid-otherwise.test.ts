// HOLD_MISMATCHED holds only a success whose final amount differs from the ordered amount.
import { beforeEach, describe, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createNonce, jobIdOf, toJobData, type Source } from '../../src/callback/job.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createAcceptBatch, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { readClaims, replacedBy } from '../../src/store/accept/claims.ts';
import { callbackOf, newReference, type CallbackFields } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const settings = {
  DEDUP_TTL: 60_000,
  RETAIN_COMPLETED: 60_000,
  RETAIN_FAILED: 60_000,
  QUARANTINE_RETAIN: 60_000,
  HOLD_MISMATCHED: true,
};

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let reference: string;
let digest: string;

beforeEach(() => {
  queue = newQueue();
  reference = newReference();
  digest = digestOf({ brand: 'default', gatewayReference: reference, kind: terminalKind });
});

async function order(amount: string): Promise<void> {
  await redis.set(keysOf.amountsExpected(queue), '1');
  await redis.hset(keysOf.expectedAmount(queue, digest), 'amount', JSON.stringify(amount));
}

async function accept(fields: CallbackFields, source: Source = 'callback'): Promise<string> {
  const callback = callbackOf({ reference, ...fields });
  const [claim] = await readClaims(redis, queue, [digest]);
  const replaces = source === 'correction' && claim !== undefined ? replacedBy(claim) : undefined;
  const receivedAtMs = Date.now();
  const origin = {
    brand: 'default',
    source,
    receivedAt: new Date(receivedAtMs).toISOString(),
    requestId: 'r',
    replaces,
  };
  const nonce = createNonce();
  const item: AcceptItem = {
    callback,
    source,
    receivedAtMs,
    nonce,
    replaces,
    data: JSON.stringify(toJobData(callback, origin)),
  };
  await createAcceptBatch(redis, queue, settings, { replicas: 0, timeoutMs: 0 })([item]);
  return jobIdOf(digest, nonce);
}

const heldOnes = () => redis.zrange(keysOf.held(queue), '0', '-1');
const waiting = () => redis.lrange(`${queue.base}:wait`, '0', '-1');

test.for([
  ['100 KES', '100.00', false],
  ['100.5 KES', '100.50', false],
  ['100.5 KES', '10035', true], // no dot of a pattern
  ['100.5 KES', '100', true],
  ['100 UGX', '100.00', true],
] as const)('if %s is ordered and %s KES are paid, whether it is held: %s', async ([ordered, amount, isHeld]) => {
  await order(ordered);
  const jobId = await accept({ amount });
  expect(await heldOnes()).toEqual(isHeld ? [jobId] : []);
  expect(await waiting()).toEqual(isHeld ? [] : [jobId]);
  expect(await redis.zrange(keysOf.mismatched(queue), '0', '-1')).toEqual(isHeld ? [jobId] : []);
  expect(await redis.hget(keysOf.job(queue, jobId), 'held')).toBe(isHeld ? 'amount' : null);
});

test.for([
  ['a payment that failed', { status: 'failed', amount: '1' }],
  ['a success that names no amount', { amount: 'null' }],
] as const)('%s is not held for any ordered amount', async ([, fields]) => {
  await order('100 KES');
  const jobId = await accept(fields);
  expect(await heldOnes()).toEqual([]);
  expect(await waiting()).toEqual([jobId]);
});

describe('a correction to another amount than was ordered', () => {
  test('is not held if workers have seen what it corrects', async () => {
    await order('100 KES');
    const original = await accept({ amount: '100.00' });
    await redis.multi().lrem(`${queue.base}:wait`, 1, original).hset(keysOf.job(queue, original), 'ats', 1).exec();
    await redis.zadd(`${queue.base}:delayed`, 1, original); // tried once, and waiting for its next attempt
    const correction = await accept({ amount: '50.00' }, 'correction');
    expect(await heldOnes()).toEqual([]);
    expect(await waiting()).toEqual([correction]);
  });

  test.for(['delivered', 'delivered and no longer kept'] as const)(
    'is not held if what it corrects was %s',
    async (state) => {
      await order('100 KES');
      const original = await accept({ amount: '100.00' });
      await redis.multi().del(`${queue.base}:wait`).zadd(`${queue.base}:completed`, 1, original).exec();
      if (state !== 'delivered') {
        await redis.del(keysOf.job(queue, original));
        await redis.zrem(`${queue.base}:completed`, original);
      }
      const correction = await accept({ amount: '50.00' }, 'correction');
      expect(await heldOnes()).toEqual([]);
      expect(await waiting()).toEqual([correction]);
    },
  );

  test('is held if it is the first that workers would see', async () => {
    await order('100 KES');
    await accept({ amount: '100.00' });
    const correction = await accept({ amount: '50.00' }, 'correction');
    expect(await heldOnes()).toEqual([correction]);
    expect(await waiting()).toEqual([]);
  });

  test('replaces a held one, and is delivered if it has the ordered amount', async () => {
    await order('100 KES');
    const original = await accept({ amount: '50.00' });
    expect(await heldOnes()).toEqual([original]);
    const correction = await accept({ amount: '100.00' }, 'correction');
    expect(await heldOnes()).toEqual([]);
    expect(await waiting()).toEqual([correction]);
  });

  test('of a correction that no worker has seen is held like that one', async () => {
    await order('100 KES');
    await accept({ amount: '100.00' });
    await accept({ amount: '50.00' }, 'correction');
    const last = await accept({ amount: '70.00' }, 'correction');
    expect(await heldOnes()).toEqual([last]);
    expect(await redis.hget(keysOf.job(queue, last), 'isUnseen')).toBe('1');
  });
});
