// Look-ups and lists of callbacks in every state, with a real Redis and BullMQ's own transitions.
import { UnrecoverableError } from 'bullmq';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { toJobData } from '../../src/callback/job.ts';
import { createCallbackIndex, type CallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import type { ListQuery } from '../../src/store/callbacks/callback-pages.ts';
import { toSpooled } from '../../src/store/callbacks/callback-view.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { callbackBody, callbackOf } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';

const { server } = await withRedis();
let stored: StoredCallbacks;
let callbackIndex: CallbackIndex;

/** docs/operations.md has the figures with MANY_CALLBACKS=100000. */
const manyCallbacks = Number(process.env['MANY_CALLBACKS'] ?? 2_000);

beforeEach(() => {
  stored = createStoredCallbacks(server.url);
  callbackIndex = createCallbackIndex(stored);
});

afterEach(async () => {
  await stored[Symbol.asyncDispose]();
});

const found = async (reference: string) => (await callbackIndex.find(reference))?.callback;

async function allOf(query: Omit<ListQuery, 'limit'>, limit = 3): Promise<(string | null)[]> {
  const references: (string | null)[] = [];
  let cursor: string | undefined;
  do {
    const page = await callbackIndex.list({ ...query, limit, cursor });
    references.push(...page.data.map(({ gatewayReference }) => gatewayReference));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return references;
}

describe('find', () => {
  test('returns everything about a waiting callback, its body byte for byte', async () => {
    const reference = await stored.store({ merchantReference: 'order-1' });
    expect(await found(reference)).toMatchObject({
      state: 'queued',
      merchantReference: 'order-1',
      status: 'success',
      amount: { value: '100.00', currency: 'KES' },
      deliveredAt: null,
      source: 'callback',
      duplicates: 0,
      attempts: [],
      body: callbackBody({ reference, merchantReference: 'order-1' }),
    });
  });

  test('knows each state as BullMQ has it', async () => {
    const delivered = await stored.store();
    const deliveredAtMs = Date.now();
    await stored.deliver({ atMs: deliveredAtMs });
    const failed = await stored.store();
    await stored.fail();
    const retrying = await stored.store();
    const nextMs = Date.now() + 60_000;
    await stored.retryLater(nextMs);
    const delivering = await stored.store();
    await stored.take();
    expect(await found(delivered)).toMatchObject({
      state: 'delivered',
      deliveredAt: new Date(deliveredAtMs).toISOString(),
      attempts: [{ status: 200, ms: 12 }],
    });
    expect(await found(failed)).toMatchObject({ state: 'failed', attempts: [{ status: 500, ms: 7 }] });
    expect(await found(retrying)).toMatchObject({
      state: 'retrying',
      nextAttemptAt: new Date(nextMs).toISOString(),
      attempts: [{ error: 'timeout', ms: 15_000 }],
    });
    expect(await found(delivering)).toMatchObject({ state: 'delivering' });
  });

  test('counts duplicates, and keeps conflicts with their bodies', async () => {
    const reference = await stored.store();
    await stored.store({ reference });
    await stored.store({ reference, amount: '7.50' });
    expect(await found(reference)).toMatchObject({
      duplicates: 2,
      conflicts: [{ status: 'success', amount: '7.5KES', body: callbackBody({ reference, amount: '7.50' }) }],
    });
  });

  test('shows what a chain of corrections replaced, latest first', async () => {
    const reference = await stored.store({ status: 'failed' });
    await stored.deliver();
    await stored.store({ reference, status: 'success', source: 'correction' });
    await stored.store({ reference, status: 'success', amount: '99', source: 'correction' });
    const finding = await callbackIndex.find(reference);
    expect(finding?.callback).toMatchObject({ sequence: 2, source: 'correction', state: 'queued' });
    expect(finding?.corrected).toMatchObject([
      { sequence: 1, state: 'superseded' },
      { sequence: 0, state: 'delivered', status: 'failed' },
    ]);
    expect(new Set([finding?.callback, ...(finding?.corrected ?? [])].map((view) => view?.webhookId)).size).toBe(3);
  });

  test('finds the other statuses of a reference beside the terminal one, and without it', async () => {
    const reference = await stored.store({ status: 'reversed' });
    expect(await found(reference)).toMatchObject({ status: 'reversed' });
    await stored.store({ reference, status: 'success' });
    const finding = await callbackIndex.find(reference);
    expect(finding).toMatchObject({ callback: { status: 'success' }, others: [{ status: 'reversed' }] });
    expect(finding?.others[0]?.webhookId).not.toBe(finding?.callback.webhookId);
  });

  test('keeps the first delivery among the attempts after a replay', async () => {
    const reference = await stored.store();
    await stored.deliver();
    const jobId = await stored.redis.zrange(`${stored.queue.base}:completed`, '0', '0');
    expect(await replay(stored.redis, stored.queue, jobId[0] ?? '')).toEqual({ kind: 'replayed' });
    expect(await found(reference)).toMatchObject({ state: 'queued', attempts: [{ status: 200 }] });
  });

  test('finds a reference of which only the claim is left, after a worker removed the job', async () => {
    const reference = await stored.store();
    const job = await stored.take();
    await job.moveToCompleted(undefined, 'token', false);
    await job.remove();
    expect(await found(reference)).toMatchObject({ state: 'delivered', status: 'success', body: null, source: null });
  });

  test('shows why a job of the merchant’s own worker failed', async () => {
    const reference = await stored.store();
    const job = await stored.take();
    await job.moveToFailed(new UnrecoverableError('database is down'), 'token', false);
    expect(await found(reference)).toMatchObject({ state: 'failed', attempts: [{ error: 'database is down' }] });
  });

  test('does not show a job as delivered that failed because its data could not be read', async () => {
    const reference = await stored.store();
    const job = await stored.take();
    await stored.redis.hset(`${stored.queue.base}:${job.id ?? ''}`, 'data', 'no JSON {');
    expect(await found(reference)).toMatchObject({ state: 'delivering', body: null });
    await job.moveToFailed(new UnrecoverableError("the job's data is no callback"), 'token', false);
    expect(await found(reference)).toMatchObject({
      state: 'failed',
      deliveredAt: null,
      failedReason: "the job's data is no callback",
    });
  });

  test('does not know a reference that never came', async () => {
    expect(await callbackIndex.find('never')).toBeUndefined();
  });

  test('finds spooled callbacks, even while Redis is down', async () => {
    const data = {
      version: 1,
      brand: 'default',
      source: 'callback',
      gatewayReference: 'spooled-1',
      merchantReference: null,
      status: 'success',
      type: null,
      receivedAt: new Date().toISOString(),
      requestId: 'request',
      body: '{}',
    } as const;
    const withSpool = createCallbackIndex({
      ...stored,
      findSpooled: async (reference) => (reference === 'spooled-1' ? [{ brand: 'default', data }] : []),
    });
    expect((await withSpool.find('spooled-1'))?.callback).toMatchObject({ state: 'spooled', body: '{}' });
    stored.redis.disconnect();
    expect((await withSpool.find('spooled-1'))?.callback).toMatchObject({ state: 'spooled' });
    await expect(withSpool.find('other')).rejects.toThrow(/./);
  });

  test('lists the selected callbacks of the spool', async () => {
    const listed = ['order-1', 'order-2'].map((merchantReference) =>
      toSpooled({
        brand: 'default',
        data: toJobData(callbackOf({ merchantReference }), {
          brand: 'default',
          source: 'callback',
          receivedAt: new Date().toISOString(),
          requestId: 'request',
        }),
      }),
    );
    const withSpool = createCallbackIndex({ ...stored, listSpooled: async () => listed });
    const page = await withSpool.list({ state: 'spooled', merchantReference: 'order-2', limit: 10 });
    expect(page.data.map(({ merchantReference }) => merchantReference)).toEqual(['order-2']);
    expect((await withSpool.list({ state: 'spooled', limit: 10 })).data).toHaveLength(2);
  });

  test('distinguishes brands with the same reference', async () => {
    const acme = createStoredCallbacks(server.url, 'acme', stored.prefix);
    const reference = await stored.store({ status: 'success' });
    await acme.store({ reference, status: 'failed' });
    const both = createCallbackIndex({ redis: stored.redis, queues: new Map([...stored.queues, ...acme.queues]) });
    expect((await both.findAll(reference)).map(({ callback }) => callback.brand)).toEqual(['default', 'acme']);
    expect((await both.find(reference, 'acme'))?.callback.status).toBe('failed');
    await acme[Symbol.asyncDispose]();
  });
});

describe('list', () => {
  test('returns every callback once, newest first, for any page size and with equal times', async () => {
    const now = Date.now();
    const references: string[] = [];
    for (let index = 0; index < 10; index += 1) {
      references.push(
        await stored.store({ receivedAtMs: now + Math.floor(index / 4), status: index % 2 ? 'success' : 'failed' }),
      );
    }
    for (const limit of [1, 2, 3, 7, 100]) {
      const listed = await allOf({}, limit);
      expect(listed.toSorted()).toEqual(references.toSorted());
    }
    const { data } = await callbackIndex.list({ limit: 10 });
    const times = data.map(({ receivedAt }) => Date.parse(receivedAt));
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  test('filters by status, period, state and merchant’s reference', async () => {
    const now = Date.now();
    const old = await stored.store({ receivedAtMs: now - 5_000, status: 'failed', merchantReference: 'order-9' });
    const reversed = await stored.store({ receivedAtMs: now - 4_000, status: 'reversed' });
    await stored.store({ receivedAtMs: now - 4_000, status: 'charged_back' });
    const recent = await stored.store({ receivedAtMs: now, merchantReference: 'order-9' });
    expect(await allOf({ status: 'reversed' })).toEqual([reversed]);
    expect(await allOf({ fromMs: now - 5_000, toMs: now - 4_000 })).toEqual([old]);
    expect(await allOf({ merchantReference: 'order-9' })).toEqual([recent, old]);
    expect(await allOf({ merchantReference: 'order-9', status: 'failed' })).toEqual([old]);
    await stored.fail();
    expect(await allOf({ state: 'failed' })).toEqual([old]);
    expect(await allOf({ state: 'failed', fromMs: now })).toEqual([]);
    expect((await allOf({ state: 'queued' }, 2)).length).toBe(3);
    expect(await allOf({ state: 'delivered' })).toEqual([]);
  });

  test('lists waiting callbacks of several brands, page by page', async () => {
    const acme = createStoredCallbacks(server.url, 'acme', stored.prefix);
    const references: string[] = [];
    for (let index = 0; index < 3; index += 1) references.push(await stored.store(), await acme.store());
    callbackIndex = createCallbackIndex({ redis: stored.redis, queues: new Map([...stored.queues, ...acme.queues]) });
    for (const limit of [1, 2, 4, 10]) {
      expect((await allOf({ state: 'queued' }, limit)).toSorted()).toEqual(references.toSorted());
      expect((await allOf({}, limit)).toSorted()).toEqual(references.toSorted());
    }
    expect((await allOf({ brand: 'acme' })).length).toBe(3);
    await acme[Symbol.asyncDispose]();
  });

  test('respects the limit under one merchant’s reference, and returns each once', async () => {
    const references: string[] = [];
    const merchantReference = 'often';
    for (let index = 0; index < 7; index += 1) {
      references.unshift(await stored.store({ merchantReference, receivedAtMs: 1_000 + Math.floor(index / 3) }));
    }
    const seen: (string | null)[] = [];
    let cursor: string | undefined;
    do {
      const page = await callbackIndex.list({ limit: 2, merchantReference, cursor });
      expect(page.data.length).toBe(page.next === null ? 1 : 2);
      seen.push(...page.data.map(({ gatewayReference }) => gatewayReference));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    expect(seen.toSorted()).toEqual(references.toSorted());
    expect(seen[0]).toBe(references[0]);
  });

  test('also lists replaced callbacks under a merchant’s reference', async () => {
    const merchantReference = 'corrected';
    const reference = await stored.store({ merchantReference, receivedAtMs: 1_000 });
    await stored.deliver();
    const correction = { reference, merchantReference, source: 'correction' } as const;
    await stored.store({ ...correction, status: 'failed', receivedAtMs: 2_000 });
    await stored.store({ ...correction, status: 'success', receivedAtMs: 3_000 });
    const statesOf = async (query: Partial<ListQuery>) =>
      (await callbackIndex.list({ limit: 10, merchantReference, ...query })).data.map(({ state, sequence }) => [
        state,
        sequence,
      ]);
    expect(await statesOf({})).toEqual([
      ['queued', 2],
      ['superseded', 1],
      ['delivered', 0],
    ]);
    expect(await statesOf({ state: 'superseded' })).toEqual([['superseded', 1]]);
    expect(await statesOf({ state: 'delivered' })).toEqual([['delivered', 0]]);
    expect(await allOf({ merchantReference }, 1)).toEqual([reference, reference, reference]);
  });

  test('returns each once if several brands use one merchant’s reference hundreds of times', async () => {
    const acme = createStoredCallbacks(server.url, 'acme', stored.prefix);
    const references: string[] = [];
    await stored.redis.config('SET', 'hash-max-listpack-entries', 8); // a hash this small is not scanned in one go
    for (let index = 0; index < 300; index += 1) {
      const fields = { merchantReference: 'often', receivedAtMs: 1_000 + index };
      references.push(await stored.store(fields), await acme.store(fields));
    }
    callbackIndex = createCallbackIndex({ redis: stored.redis, queues: new Map([...stored.queues, ...acme.queues]) });
    const listed = await allOf({ merchantReference: 'often' }, 50);
    expect(listed.toSorted()).toEqual(references.toSorted());
    await acme[Symbol.asyncDispose]();
  });

  test.each(['bogus', Buffer.from('{"scans":[["default","x"]]}').toString('base64url')])(
    'refuses a cursor that no page gave: %s',
    async (cursor) => {
      const listing = callbackIndex.list({ limit: 1, merchantReference: 'some', cursor });
      await expect(listing).rejects.toMatchObject({ code: 'BAD_CURSOR' });
    },
  );

  test(
    `costs the same handful of commands with ten callbacks and with ${manyCallbacks}`,
    { timeout: 600_000 },
    async () => {
      const commandsOf = async (act: () => Promise<unknown>) => {
        const monitor = await stored.redis.duplicate().monitor();
        const seen: string[] = [];
        monitor.on('monitor', (_time: string, args: string[], source: string) => {
          if (source !== 'lua' && args.some((arg) => arg.includes(stored.prefix))) seen.push(args[0] ?? '');
        });
        await act();
        await stored.redis.get(`${stored.prefix}-last`);
        while (seen.at(-1) !== 'get') await new Promise((resolve) => monitor.once('monitor', resolve));
        monitor.disconnect();
        return seen.length - 1;
      };
      const reference = await stored.store({ merchantReference: 'only' });
      const measure = async () => [
        await commandsOf(() => callbackIndex.find(reference)),
        await commandsOf(() => callbackIndex.list({ limit: 50 })),
        await commandsOf(() => callbackIndex.list({ limit: 50, merchantReference: 'only' })),
      ];
      const ofOneState = async () => commandsOf(() => callbackIndex.list({ limit: 50, state: 'queued' }));
      for (let index = 0; index < 9; index += 1) await stored.store();
      const few = await measure();
      const fewOfOneState = await ofOneState();
      for (let left = manyCallbacks; left > 0; left -= 2_000) {
        await Promise.all(Array.from({ length: Math.min(left, 2_000) }, () => stored.store()));
      }
      expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(10 + manyCallbacks);
      expect(await measure()).toEqual(few);
      const manyOfOneState = await ofOneState(); // found in the index's parts instead of in the state's own list
      console.log('commands of find, list, list by merchant’s reference:', few.join(', '));
      console.log('commands of list by state, with few and with many in it:', fewOfOneState, manyOfOneState);
      for (const count of [...few, fewOfOneState, manyOfOneState]) expect(count).toBeLessThan(8);
    },
  );
});

test('a queue with another name has a separate index', async () => {
  await stored.store();
  const other = brandQueue('default', { QUEUE_NAME: 'other', QUEUE_PREFIX: stored.prefix });
  const empty = createCallbackIndex({ redis: stored.redis, queues: new Map([['default', other]]) });
  expect(await empty.list({ limit: 10 })).toEqual({ data: [], next: null });
});
