// Lists by state: newest first by receipt, regardless of the order in which callbacks reached the state.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCallbackIndex, type CallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import type { CallbackState } from '../../src/store/callbacks/callback-view.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';

const { server } = await withRedis();
let stored: StoredCallbacks;

beforeEach(() => {
  stored = createStoredCallbacks(server.url);
});

afterEach(async () => {
  await stored[Symbol.asyncDispose]();
});

/** Of removed ones the reference is not known any more; test/store/removed.test.ts lists those. */
type ListedState = Exclude<CallbackState, 'spooled' | 'removed'>;

const nowMs = Date.now();

/** Brings a callback into each state; the one that waits longest is the next to be moved. */
const into: Record<ListedState, (reference: string) => Promise<unknown>> = {
  queued: async () => undefined,
  delivering: () => stored.take(),
  retrying: () => stored.retryLater(nowMs + 60_000),
  delivered: () => stored.deliver(),
  failed: () => stored.fail(),
  held: () => stored.hold(),
  superseded: (reference) =>
    stored.store({ reference, amount: '7.50', source: 'correction', receivedAtMs: nowMs - 3_600_000 }),
};
const states = Object.keys(into).filter((name): name is ListedState => name in into);

/** Received at these offsets, moved in this order. */
const offsetsMs = [-3_000, -1_000, -4_000, -1_000, -5_000, -2_000, -4_000];

async function walk(
  callbackIndex: CallbackIndex,
  state: CallbackState,
  limit: number,
  between?: () => Promise<unknown>,
) {
  const rows: { receivedAt: string; gatewayReference: string | null }[] = [];
  let cursor: string | undefined;
  do {
    const page = await callbackIndex.list({ state, limit, cursor });
    expect(page.data.length).toBeLessThanOrEqual(limit);
    rows.push(...page.data);
    cursor = page.next ?? undefined;
    await between?.();
  } while (cursor !== undefined);
  return rows;
}

/** A set beyond `wholeSetMax` is looked for in the index instead of being read as a whole. */
describe.each([
  ['a small set, read as a whole', 2_000],
  ['a large set, looked for in the index', 0],
])('%s', (_name, wholeSetMax) => {
  test.each(states)('lists %s ones by receipt, newest first, each once on pages of any size', async (state) => {
    const references: string[] = [];
    for (const offset of offsetsMs) {
      const status = offset === -4_000 ? 'failed' : 'success';
      const reference = await stored.store({ receivedAtMs: nowMs + offset, status });
      await into[state](reference);
      references.push(reference);
    }
    if (state !== 'queued') await stored.store({ receivedAtMs: nowMs }); // another state; must not show
    const callbackIndex = createCallbackIndex({ ...stored, wholeSetMax });
    for (const limit of [1, 2, 3, 200]) {
      const rows = await walk(callbackIndex, state, limit);
      const times = rows.map(({ receivedAt }) => Date.parse(receivedAt));
      expect(times).toEqual(offsetsMs.map((offset) => nowMs + offset).toSorted((a, b) => b - a));
      expect(rows.map(({ gatewayReference }) => gatewayReference).toSorted()).toEqual(references.toSorted());
    }
  });

  test('neither skips nor repeats where callbacks arrive between two pages', async () => {
    const references: string[] = [];
    for (const offset of offsetsMs) {
      references.push(await stored.store({ receivedAtMs: nowMs + offset }));
      await stored.fail();
    }
    const rows = await walk(createCallbackIndex({ ...stored, wholeSetMax }), 'failed', 2, async () => {
      await stored.store({ receivedAtMs: nowMs + 1_000 });
      await stored.fail();
    });
    expect(rows.map(({ gatewayReference }) => gatewayReference).toSorted()).toEqual(references.toSorted());
  });

  test('fills its pages with superseded ones, however few there are', async () => {
    const corrected = await stored.store({ receivedAtMs: nowMs - 9_000, status: 'failed' });
    await stored.store({ reference: corrected, source: 'correction', receivedAtMs: nowMs - 8_000 });
    for (let index = 0; index < 12; index += 1) {
      await stored.store({ receivedAtMs: nowMs - index });
      await stored.deliver();
    }
    const page = await createCallbackIndex({ ...stored, wholeSetMax }).list({ state: 'superseded', limit: 5 });
    expect(page).toMatchObject({ data: [{ gatewayReference: corrected, state: 'superseded' }], next: null });
  });
});

test('continues in place when the set outgrows the size that is read as a whole', async () => {
  const references: string[] = [];
  for (const offset of offsetsMs) {
    references.push(await stored.store({ receivedAtMs: nowMs + offset }));
    await stored.fail();
  }
  const small = await createCallbackIndex(stored).list({ state: 'failed', limit: 3 });
  const rest = await createCallbackIndex({ ...stored, wholeSetMax: 0 }).list({
    state: 'failed',
    limit: 100,
    cursor: small.next ?? undefined,
  });
  const listed = [...small.data, ...rest.data].map(({ gatewayReference }) => gatewayReference);
  expect(listed.toSorted()).toEqual(references.toSorted());
});

test('keeps the order over brands of which one is read as a whole and one searched in the index', async () => {
  const acme = createStoredCallbacks(server.url, 'acme', stored.prefix);
  for (const [index, offset] of offsetsMs.entries()) {
    const brand = index % 4 === 0 ? acme : stored; // two and five
    await brand.store({ receivedAtMs: nowMs + offset });
    await brand.fail();
  }
  const queues = new Map([...stored.queues, ...acme.queues]);
  const callbackIndex = createCallbackIndex({ redis: stored.redis, queues, wholeSetMax: 2 });
  for (const limit of [1, 2, 3, 200]) {
    const times = (await walk(callbackIndex, 'failed', limit)).map(({ receivedAt }) => Date.parse(receivedAt) - nowMs);
    expect(times).toEqual(offsetsMs.toSorted((a, b) => b - a));
  }
  await acme[Symbol.asyncDispose]();
});

test('looks through a bounded part of the index for one page, and reaches the end of it', async () => {
  const oldest = await stored.store({ receivedAtMs: nowMs - 60_000 });
  await stored.fail();
  await Promise.all(Array.from({ length: 2_100 }, (_, index) => stored.store({ receivedAtMs: nowMs - (index % 50) })));
  const callbackIndex = createCallbackIndex({ ...stored, wholeSetMax: 0 });
  let pages = 0;
  const rows = await walk(callbackIndex, 'failed', 10, async () => (pages += 1));
  expect(rows.map(({ gatewayReference }) => gatewayReference)).toEqual([oldest]);
  expect(pages).toBe(3); // of 1,000 each
});
