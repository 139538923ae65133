// A kept callback can be found, replayed and erased, however old it is.
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { referenceDigest } from '../../src/callback/identity.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { createClaimKeeper } from '../../src/store/lifecycle/claim-keeper.ts';
import { erase } from '../../src/store/lifecycle/erase.ts';
import { createCallbackIndex, type CallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { digestOfJob } from '../../src/callback/job.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { createRetention } from '../../src/store/lifecycle/retention.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const { server } = await withRedis();
let stored: StoredCallbacks;
let callbackIndex: CallbackIndex;

const hour = 3_600_000;
const log = pino({ level: 'silent' });
const config = {
  DEDUP_TTL: 600_000,
  RETAIN_COMPLETED: hour,
  RETAIN_COMPLETED_MAX: 1_000,
  RETAIN_FAILED: hour,
  QUARANTINE_RETAIN: hour,
};

beforeEach(() => {
  stored = createStoredCallbacks(server.url);
  callbackIndex = createCallbackIndex(stored);
});

afterEach(async () => {
  await stored[Symbol.asyncDispose]();
});

const found = async (reference: string) => (await callbackIndex.find(reference))?.callback;
const longAgoMs = () => Date.now() - config.DEDUP_TTL;
const keeper = () => createClaimKeeper({ ...stored, config, log });

async function keysWithTtl(): Promise<string[]> {
  const keys = await stored.redis.keys(`${stored.queue.base}/[cmox]:*`);
  return keys.toSorted();
}

/** Simulates the passing of time: every key with a time to live expires. */
async function expireMemory(): Promise<void> {
  const keys = await keysWithTtl();
  if (keys.length > 0) await stored.redis.del(...keys);
}

/** Brings a callback into each state in which it may be kept for longer than DEDUP_TTL. */
const kept: Readonly<Record<string, () => Promise<unknown>>> = {
  failed: () => stored.fail(),
  retrying: () => stored.retryLater(Date.now() + hour),
  queued: async () => undefined,
  delivering: () => stored.take(),
  delivered: () => stored.deliver(),
};

describe('a callback that is kept for longer than DEDUP_TTL', () => {
  for (const [state, bring] of Object.entries(kept)) {
    test(`is found by both references while it is ${state}, also after its claim has expired`, async () => {
      const reference = await stored.store({ merchantReference: 'm-1', receivedAtMs: longAgoMs() });
      await bring();
      const before = await found(reference);
      await expireMemory();
      expect(await found(reference)).toBeUndefined();
      await keeper().keep();
      expect(await found(reference)).toEqual(before);
      expect((await callbackIndex.list({ merchantReference: 'm-1', limit: 10 })).data).toMatchObject([
        { gatewayReference: reference, state },
      ]);
      for (const key of await keysWithTtl()) expect(await stored.redis.pttl(key)).toBeGreaterThan(500_000);
    });
  }

  test('has its claim prolonged before it expires, with its count of duplicates', async () => {
    const reference = await stored.store({ merchantReference: 'm-1', receivedAtMs: longAgoMs() });
    await stored.store({ reference });
    await stored.fail();
    await stored.store({ reference, status: 'failed' }); // a conflict
    for (const key of await keysWithTtl()) await stored.redis.pexpire(key, 60_000);
    await keeper().keep();
    for (const key of await keysWithTtl()) expect(await stored.redis.pttl(key)).toBeGreaterThan(500_000);
    expect(await found(reference)).toMatchObject({ state: 'failed', duplicates: 2, conflicts: [{ status: 'failed' }] });
  });

  test('of another status is found as long as its claim exists, which a conflict prolongs', async () => {
    const ttlOf = async (pattern: string) => {
      const [key = ''] = await stored.redis.keys(`${stored.queue.base}${pattern}`);
      return stored.redis.pttl(key);
    };
    const reference = await stored.store({ status: 'reversed', merchantReference: 'm-1' });
    await stored.redis.pexpire((await stored.redis.keys(`${stored.queue.base}/o:*`))[0] ?? '', 60_000);
    await stored.store({ reference, status: 'reversed', amount: '5', merchantReference: 'm-1' });
    expect(await ttlOf('/o:*')).toBeGreaterThanOrEqual((await ttlOf('/c:*')) - 1_000);
    expect(await ttlOf('/t:*')).toBeGreaterThanOrEqual((await ttlOf('/c:*')) - 1_000); // or a second try would count
    expect(await ttlOf('/m:*')).toBeGreaterThanOrEqual((await ttlOf('/c:*')) - 1_000);
    await stored.store({ reference, status: 'chargeback', merchantReference: 'm-1' });
    expect(await ttlOf('/o:*')).toBeGreaterThan(605_000); // not shortened
  });

  test('can be replayed and erased', async () => {
    const reference = await stored.store({ receivedAtMs: longAgoMs() });
    await stored.fail();
    await expireMemory();
    await keeper().keep();
    const jobId = (await found(reference))?.jobId ?? '';
    expect(await replay(stored.redis, stored.queue, jobId)).toEqual({ kind: 'replayed' });
    await stored.fail();
    expect(await erase(stored.redis, stored.queue, reference)).toEqual({ kind: 'erased' });
    expect(await found(reference)).toMatchObject({ state: 'failed', erased: true, body: null });
  });

  test('is not delivered twice when the gateway sends it again', async () => {
    const reference = await stored.store({ receivedAtMs: longAgoMs() });
    await stored.fail();
    await expireMemory();
    await keeper().keep();
    await stored.store({ reference });
    expect(await found(reference)).toMatchObject({ state: 'failed', duplicates: 1 });
    expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(0);
    await stored.store({ reference, amount: '5' });
    expect(await found(reference)).toMatchObject({ conflicts: [{ amount: '5KES' }] });
  });

  test('is found as a correction, with what it replaced', async () => {
    const reference = await stored.store({ status: 'failed', receivedAtMs: longAgoMs() - 2 });
    await stored.deliver();
    await stored.store({ reference, source: 'correction', receivedAtMs: longAgoMs() - 1 });
    await stored.fail();
    const before = await callbackIndex.find(reference);
    expect(before).toMatchObject({ callback: { sequence: 1 }, corrected: [{ sequence: 0 }] });
    await expireMemory();
    await keeper().keep();
    expect(await callbackIndex.find(reference)).toEqual(before);
  });

  test('is found with its other statuses', async () => {
    const reference = await stored.store({ receivedAtMs: longAgoMs() - 2 });
    await stored.fail();
    await stored.store({ reference, status: 'reversed', receivedAtMs: longAgoMs() - 1 });
    await stored.fail();
    const before = await callbackIndex.find(reference);
    expect(before?.others).toMatchObject([{ status: 'reversed' }]);
    await expireMemory();
    await keeper().keep();
    expect(await callbackIndex.find(reference)).toEqual(before);
  });

  test('is remembered as delivered once its job is gone, if it was', async () => {
    const reference = await stored.store({ receivedAtMs: longAgoMs() });
    await stored.deliver();
    await expireMemory();
    await keeper().keep();
    const jobId = (await found(reference))?.jobId ?? '';
    await stored.redis.zrem(`${stored.queue.base}:completed`, jobId);
    await stored.redis.del(keysOf.job(stored.queue, jobId), `${stored.queue.base}:events`);
    expect(await found(reference)).toMatchObject({ state: 'delivered' });
  });

  test('expires in time once its job is gone', async () => {
    const reference = await stored.store({ receivedAtMs: longAgoMs() });
    await stored.fail();
    const jobId = (await found(reference))?.jobId ?? '';
    const claim = keysOf.claim(stored.queue, digestOfJob(jobId));
    await createRetention({ ...stored, config, log, now: () => Date.now() + 2 * hour }).sweep();
    await stored.redis.pexpire(claim, 60_000);
    await keeper().keep();
    expect(await stored.redis.pttl(claim)).toBeLessThanOrEqual(60_000);
  });

  test('of thousands, each is kept', async () => {
    const references: string[] = [];
    for (let index = 0; index < 1_200; index += 1)
      references.push(await stored.store({ receivedAtMs: longAgoMs() - index }));
    await expireMemory();
    await keeper().keep();
    const claims = await stored.redis.keys(`${stored.queue.base}/c:*`);
    expect(claims).toHaveLength(references.length);
  });
});

test('a conflict keeps the contradicted callback findable as long as it is in quarantine', async () => {
  const reference = await stored.store();
  await stored.deliver();
  await stored.store({ reference, amount: '5' });
  const digest = digestOfJob((await found(reference))?.jobId ?? '');
  for (const key of [keysOf.claim(stored.queue, digest), keysOf.conflicts(stored.queue, digest)]) {
    expect(await stored.redis.pttl(key)).toBeGreaterThan(config.DEDUP_TTL + 60_000);
  }
});

test('the reference of another status is kept, too', async () => {
  const reference = await stored.store({ status: 'reversed', receivedAtMs: longAgoMs() });
  await stored.fail();
  await expireMemory();
  await keeper().keep();
  const kinds = keysOf.otherKinds(stored.queue, referenceDigest('default', 'gateway', reference));
  expect(await stored.redis.hlen(kinds)).toBe(1);
  expect(await found(reference)).toMatchObject({ status: 'reversed', state: 'failed' });
});

test(
  'the service itself finds, replays and erases a failed callback after DEDUP_TTL, and treats the next one as a duplicate',
  { timeout: 60_000 },
  async () => {
    await using service = await startService({
      env: {
        REDIS_URL: server.url,
        QUEUE_PREFIX: `{keeper-${process.pid}}`,
        PAYALO_API_KEYS: testKey,
        FORWARD_URL: 'http://127.0.0.1:9/refused',
        FORWARD_RETRIES: '10ms',
        DEDUP_TTL: '2s',
        RECONCILE_LOOKBACK: '1s',
      },
    });
    const reference = newReference();
    const send = async () => {
      const headers = { 'x-api-key': testKey };
      const body = callbackBody({ reference, merchantReference: 'kept-1' });
      return (await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body })).json();
    };
    expect(await send()).toEqual({ status: 'ok' });
    const url = `${service.opsUrl}/v1/callbacks`;
    const state = async () => JSON.parse(await (await fetch(`${url}/${reference}`)).text())['state'];
    await until(async () => (await state()) === 'failed');
    const afterMs = Date.now() + 5_000;
    await until(
      async () => {
        expect((await fetch(`${url}/${reference}`)).status).toBe(200);
        return Date.now() > afterMs;
      },
      { everyMs: 100 },
    );
    expect(await send()).toEqual({ status: 'ok', duplicate: true });
    expect(await (await fetch(`${url}?merchantReference=kept-1`)).json()).toMatchObject({
      data: [{ state: 'failed' }],
    });
    expect((await fetch(`${url}/${reference}/replay`, { method: 'POST' })).status).toBe(202);
    await until(async () => (await state()) === 'failed');
    expect((await fetch(`${url}/${reference}`, { method: 'DELETE' })).status).toBe(200);
  },
);
