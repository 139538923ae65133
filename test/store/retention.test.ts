// Retention and erasure: what is removed, what is kept, and what can still be looked up.
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { digestOfJob } from '../../src/callback/job.ts';
import { terminalKind } from '../../src/callback/identity.ts';
import { findClaims } from '../../src/store/callbacks/find-claims.ts';
import { unconfirmedMember } from '../../src/store/confirmation/unconfirmed.ts';
import { erase } from '../../src/store/lifecycle/erase.ts';
import { createCallbackIndex, type CallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { createQuarantineStore } from '../../src/store/quarantine/quarantine-store.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { createRetention } from '../../src/store/lifecycle/retention.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const { server } = await withRedis();
let stored: StoredCallbacks;
let callbackIndex: CallbackIndex;

const hour = 3_600_000;
const log = pino({ level: 'silent' });

beforeEach(() => {
  stored = createStoredCallbacks(server.url);
  callbackIndex = createCallbackIndex(stored);
});

afterEach(async () => {
  await stored[Symbol.asyncDispose]();
});

const found = async (reference: string) => (await callbackIndex.find(reference))?.callback;
const keysLike = async (pattern: string) => stored.redis.keys(`${stored.queue.base}${pattern}`);

function retentionOf({ completedMs = hour, completedMax = 1_000, failedMs = hour, now = Date.now } = {}) {
  const config = {
    DEDUP_TTL: failedMs,
    RETAIN_COMPLETED: completedMs,
    RETAIN_COMPLETED_MAX: completedMax,
    RETAIN_FAILED: failedMs,
  };
  return createRetention({ ...stored, config, log, now });
}

const later = (ms: number) => () => Date.now() + ms;

describe('retention', () => {
  test('removes expired delivered jobs with all that belongs to them, and records how they ended', async () => {
    const deliveredAtMs = Date.now() - 5;
    const reference = await stored.store({ merchantReference: 'gone-1' });
    await stored.deliver({ atMs: deliveredAtMs });
    const before = await found(reference);
    expect(await retentionOf({ now: later(2 * hour) }).sweep()).toMatchObject({ completed: 1, failed: 0 });
    expect(await found(reference)).toMatchObject({
      state: 'delivered',
      status: 'success',
      amount: { value: '100', currency: 'KES' },
      receivedAt: before?.receivedAt,
      deliveredAt: new Date(deliveredAtMs).toISOString(),
      webhookId: before?.webhookId,
      body: null,
    });
    // The claim, how far events were read, and BullMQ's own bookkeeping are all that is left.
    expect((await keysLike('/*')).filter((key) => !/\/(c:.*|followed)$/.test(key))).toEqual([]);
    expect((await keysLike(':*')).filter((key) => !/:(meta|id|events|marker)$/.test(key))).toEqual([]);
    expect(await callbackIndex.list({ limit: 10 })).toEqual({ data: [], next: null });
  });

  test('removes the other entries of a callback only once its claim has expired', async () => {
    const { redis, queue } = stored;
    const membersOf = async (key: string) => (await redis.zrange(key, '0', '-1')).toSorted();
    const noted = async () => ({
      unconfirmed: await membersOf(keysOf.unconfirmed(queue)),
      denied: await membersOf(keysOf.denied(queue)),
      mismatched: await membersOf(keysOf.mismatched(queue)),
    });
    const note = async (gatewayReference: string, kind = terminalKind) => {
      const [claim] = await findClaims(redis, queue, [{ gatewayReference, kind }]);
      const jobId = claim?.jobId ?? 'unknown';
      const member = unconfirmedMember({ gatewayReference, kind });
      await redis.zadd(keysOf.unconfirmed(queue), Date.now(), member);
      await redis.zadd(keysOf.denied(queue), Date.now(), jobId);
      await redis.zadd(keysOf.mismatched(queue), Date.now(), jobId);
      return { member, jobId };
    };
    const waiting = await note(await stored.store());
    const reversed = await note(await stored.store({ status: 'reversed' }), 'status:reversed');
    const expired = await note(await stored.store());
    await redis.zadd(keysOf.unconfirmed(queue), 1, 'not one of ours');
    await redis.del(keysOf.claim(queue, digestOfJob(expired.jobId)));
    await retentionOf().sweep();
    expect((await noted()).denied).toHaveLength(3); // nothing is old enough yet
    await retentionOf({ now: later(2 * hour) }).sweep();
    const jobIds = [waiting.jobId, reversed.jobId].toSorted();
    expect(await noted()).toEqual({
      unconfirmed: [waiting.member, reversed.member].toSorted(),
      denied: jobIds,
      mismatched: jobIds,
    });
  });

  test('keeps the claims and their time to live', async () => {
    const reference = await stored.store();
    await stored.deliver();
    const [claim = ''] = await keysLike('/c:*');
    await stored.redis.pexpire(claim, 77_000);
    await retentionOf({ now: later(2 * hour) }).sweep();
    const ttl = await stored.redis.pttl(claim);
    expect(ttl).toBeGreaterThan(60_000);
    expect(ttl).toBeLessThanOrEqual(77_000);
    await stored.store({ reference });
    expect(await found(reference)).toMatchObject({ state: 'delivered', duplicates: 1 });
    expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(0);
  });

  test('never removes undelivered callbacks, however old', async () => {
    const waiting = await stored.store();
    await stored.retryLater(Date.now() + hour);
    const failed = await stored.store();
    await stored.fail();
    const second = await stored.store();
    await retentionOf({ completedMs: 0, completedMax: 0, now: later(0) }).sweep();
    expect(await found(waiting)).toMatchObject({ state: 'retrying' });
    expect(await found(failed)).toMatchObject({ state: 'failed' });
    expect(await found(second)).toMatchObject({ state: 'queued' });
    expect(await retentionOf({ now: later(2 * hour) }).sweep()).toMatchObject({ failed: 1 });
    expect(await found(failed)).toMatchObject({ state: 'failed', deliveredAt: null, body: null });
  });

  test('removes the oldest beyond RETAIN_COMPLETED_MAX, over several batches', async () => {
    const references: string[] = [];
    const firstMs = Date.now();
    for (let index = 0; index < 205; index += 1) {
      references.push(await stored.store({ receivedAtMs: firstMs + index })); // the list's order, where times are equal, is by id
      await stored.deliver();
    }
    expect(await retentionOf({ completedMax: 3 }).sweep()).toMatchObject({ completed: 202 });
    expect((await callbackIndex.list({ limit: 100 })).data.map(({ gatewayReference }) => gatewayReference)).toEqual(
      references.slice(-3).toReversed(),
    );
  });

  test('leaves the merchant’s reference to the correction when it removes what was corrected', async () => {
    const reference = await stored.store({ status: 'failed', merchantReference: 'm-1' });
    await stored.deliver();
    await stored.store({ reference, merchantReference: 'm-1', status: 'success', source: 'correction' });
    expect(await retentionOf({ completedMs: 0, now: later(1) }).sweep()).toMatchObject({ completed: 1 });
    const { data } = await callbackIndex.list({ limit: 10, merchantReference: 'm-1' });
    expect(data).toMatchObject([{ gatewayReference: reference, status: 'success', state: 'queued', sequence: 1 }]);
  });

  test('removes index entries whose jobs the merchant’s own worker removed', async () => {
    await stored.store();
    const kept = await stored.store();
    const job = await stored.take();
    await job.moveToCompleted(undefined, 'token', false);
    await job.remove();
    await retentionOf().sweep();
    expect(await stored.redis.zcard(keysOf.index(stored.queue, 'success'))).toBe(1);
    expect((await callbackIndex.list({ limit: 10 })).data).toMatchObject([{ gatewayReference: kept }]);
  });

  test('runs automatically, once an hour in one of all processes', async () => {
    await stored.store();
    await stored.deliver();
    const one = retentionOf({ completedMs: 0, now: later(1) });
    const two = retentionOf({ completedMs: 0, now: later(1) });
    one.start();
    await until(async () => (await stored.redis.zcard(`${stored.queue.base}:completed`)) === 0);
    await one.stop();
    await stored.store();
    await stored.deliver();
    two.start();
    await two.stop();
    expect(await stored.redis.zcard(`${stored.queue.base}:completed`)).toBe(1);
  });
});

describe('erasure', () => {
  test('erases bodies and answers, and keeps reference, status, times and the claim', async () => {
    const reference = await stored.store({ merchantReference: 'm-2' });
    await stored.fail('dear 254700000000');
    await stored.store({ reference, merchantReference: 'm-2', amount: '5' }); // a conflict, kept in quarantine
    const before = await found(reference);
    expect(await erase(stored.redis, stored.queue, reference)).toEqual({ kind: 'erased' });
    expect(await found(reference)).toMatchObject({
      state: 'failed',
      erased: true,
      body: null,
      merchantReference: 'm-2',
      receivedAt: before?.receivedAt,
      attempts: [{ status: 500, ms: 7 }],
      conflicts: [{ amount: '5KES', body: null }],
    });
    const dump = await everything();
    expect(dump).not.toContain('254700000000');
    expect(dump).not.toContain('mpesa');
    expect(await stored.redis.get(keysOf.quarantineBytes(stored.queue))).toBe('0');
    await stored.store({ reference });
    expect(await found(reference)).toMatchObject({ duplicates: 2 });
  });

  test('covers replaced callbacks and other statuses', async () => {
    const reference = await stored.store({ status: 'failed' });
    await stored.deliver();
    await stored.store({ reference, source: 'correction' });
    await stored.deliver();
    await stored.store({ reference, status: 'reversed' });
    await stored.deliver();
    await erase(stored.redis, stored.queue, reference);
    expect(await everything()).not.toContain('mpesa');
  });

  test('refuses while the callback is still to be delivered, and then changes nothing', async () => {
    const reference = await stored.store();
    await stored.deliver();
    await stored.store({ reference, status: 'reversed' });
    const before = await everything();
    expect(await erase(stored.redis, stored.queue, reference)).toEqual({ kind: 'in-progress' });
    expect(await everything()).toBe(before);
    expect(await erase(stored.redis, stored.queue, 'never came')).toEqual({ kind: 'not-found' });
  });

  test('covers all quarantine entries of the reference, and nothing else there', async () => {
    const store = createQuarantineStore(stored.redis, stored.queue);
    const keep = async (id: string, fields: Record<string, string>) => {
      const bytes = String(fields['body']).length;
      await store.add({ id, atMs: 1_000, bytes, retainMs: 600_000, fields }, { maxBytes: 1_000_000, notBeforeMs: 0 });
    };
    const reference = await stored.store();
    await stored.deliver();
    const cut = `{"gatewayReference": ${JSON.stringify(reference)}, "payer": "254700`;
    await keep('named', { reason: 'unreadable', gatewayReference: reference, body: '{}' });
    await keep('cut', { reason: 'not-json', gatewayReference: '', body: cut });
    await keep('other', { reason: 'not-json', gatewayReference: '', body: cut.replace(reference, `${reference}9`) });
    for (let index = 0; index < 50; index += 1) await keep(`more-${index}`, { gatewayReference: 'x', body: '{}' });
    expect(await erase(stored.redis, stored.queue, reference)).toEqual({ kind: 'erased' });
    expect([await store.get('named'), await store.get('cut')]).toEqual([undefined, undefined]);
    expect(await stored.redis.zcard(keysOf.quarantine(stored.queue))).toBe(51);
    expect(await store.get('other')).toBeDefined();

    await keep('alone', { reason: 'unreadable', gatewayReference: 'never-queued', body: '{}' });
    expect(await erase(stored.redis, stored.queue, 'never-queued')).toEqual({ kind: 'erased' });
    expect(await erase(stored.redis, stored.queue, 'never-queued')).toEqual({ kind: 'not-found' });
  });

  test('leaves nothing to replay', async () => {
    const reference = await stored.store();
    await stored.deliver();
    const [jobId = ''] = await stored.redis.zrange(`${stored.queue.base}:completed`, '0', '0');
    await erase(stored.redis, stored.queue, reference);
    expect(await replay(stored.redis, stored.queue, jobId)).toEqual({ kind: 'gone' });
  });

  /** What Redis holds of the queue, except the capped stream of events, which has no bodies. */
  async function everything(): Promise<string> {
    const parts: string[] = [];
    for (const key of (await keysLike('*')).toSorted()) {
      const type = await stored.redis.type(key);
      if (type === 'hash') parts.push(key, JSON.stringify(Object.entries(await stored.redis.hgetall(key)).toSorted()));
      if (type === 'list') parts.push(key, ...(await stored.redis.lrange(key, 0, -1)));
      if (type === 'string') parts.push(key, (await stored.redis.get(key)) ?? '');
      if (type === 'zset') parts.push(key, ...(await stored.redis.zrange(key, '0', '-1')));
    }
    return parts.join('\n');
  }
});
