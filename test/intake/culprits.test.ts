// One bad item blocks none of the good ones: a claim or a key that the script cannot read, an entry that Redis refuses.
// A real Redis, the real spool, and the real drain.
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { digestOf, referenceDigest, terminalKind } from '../../src/callback/identity.ts';
import { createDrain } from '../../src/intake/drain.ts';
import { createIntake, type Intake } from '../../src/intake/intake.ts';
import { createQuarantine, type Quarantine } from '../../src/intake/quarantine/quarantine.ts';
import { createSpool, type Spool } from '../../src/intake/spool/spool.ts';
import { createStore } from '../../src/intake/redis-store.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { createRetention } from '../../src/store/lifecycle/retention.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { callbackOf, type CallbackFields } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { refusedEntry, spoolEntry } from './spool-entry.ts';

const settings = { DEDUP_TTL: 600_000, RETAIN_COMPLETED: 1, RETAIN_FAILED: 600_000, QUARANTINE_RETAIN: 600_000 };
const log = createLog({ level: 'silent' });

const { redis } = await withRedis();
let dir: string;
let naming: { QUEUE_NAME: string; QUEUE_PREFIX: string };
let queue: BrandQueue;
let spool: Spool;
let intake: Intake;
let quarantine: Quarantine;
let ends: (() => unknown)[];

beforeEach(async () => {
  naming = { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: `{${randomUUID()}}` };
  queue = brandQueue('default', naming);
  dir = await makeTempDir('culprits');
  spool = createSpool({ dir: path.join(dir, 'spool'), maxBytes: 1e9, log });
  await spool.ready();
  intake = createIntake({
    storeFor: (brand) => {
      const wait = { waitReplicas: 0, waitTimeoutMs: 0 };
      return createStore({ connections: [redis], queue: brandQueue(brand, naming), settings, ...wait });
    },
    spool,
    settings: { budgetMs: 5_000, spoolBytesMax: 1e9 },
    log,
  });
  quarantine = createQuarantine({
    redis,
    brands: ['default'],
    config: { ...naming, ACK_BUDGET: 5_000, QUARANTINE_RETAIN: 600_000, QUARANTINE_MAX_BYTES: 1_000_000 },
    spool,
    accept: (item) => intake.accept(item),
    log,
  });
  ends = [() => rmSync(dir, { recursive: true, force: true }), () => spool.close()];
});

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
});

/** Each is written in place of a claim. */
const badClaims: readonly [name: string, plant: (key: string) => Promise<unknown>][] = [
  ['of foreign text', (key) => redis.set(key, 'not a claim of ours')],
  ['that is empty', (key) => redis.set(key, '')],
  ['that was truncated', (key) => redis.set(key, '.abc,0,0,m')],
  ['with an invalid count', (key) => redis.set(key, '.abc,0,many,m,success,100KES')],
  ['of another type', (key) => redis.multi().del(key).hset(key, 'a', 'b').exec()],
];

describe('a claim', () => {
  test.each(badClaims)('%s blocks nothing: its callback is queued, with its neighbours', async (_name, plant) => {
    await plant(claimKey('bad'));
    expect(await acceptAll(['good-1', 'bad', 'good-2'])).toEqual(['queued', 'queued', 'queued']);
    expect(await queued()).toEqual(['good-1', 'bad', 'good-2']);
    expect(await acceptAll(['bad'])).toEqual(['duplicate']);
  });

  test.each(badClaims)('%s does not block the entries spooled after it', async (_name, plant) => {
    for (const reference of ['before', 'bad', 'after']) await spool.append(spoolEntry(reference));
    await plant(claimKey('bad'));
    await drainAll();
    expect(await queued()).toEqual(['before', 'bad', 'after']);
  });

  test.each(badClaims)('%s hides only itself, from look-ups and from retention', async (_name, plant) => {
    await acceptAll(['good', 'bad']);
    await plant(claimKey('bad'));
    const callbackIndex = createCallbackIndex({ redis, queues: new Map([['default', queue]]) });
    const { data } = await callbackIndex.list({ limit: 10 });
    expect(data.map(({ gatewayReference }) => gatewayReference).toSorted()).toEqual(['bad', 'good']);
    for (const id of await redis.lrange(`${queue.base}:wait`, 0, -1))
      await redis.zadd(`${queue.base}:completed`, 1, id);
    const config = { DEDUP_TTL: 600_000, RETAIN_COMPLETED: 1, RETAIN_COMPLETED_MAX: 1_000, RETAIN_FAILED: 600_000 };
    const retention = createRetention({ redis, queues: new Map([['default', queue]]), config, log });
    expect((await retention.sweep()).completed).toBe(2);
  });
});

describe('a look-up key of the wrong type', () => {
  const callback = { reference: 'one', merchantReference: 'order-1' };
  test.each([
    ['index', () => keysOf.index(queue, 'success')],
    ['merchant reference', () => keysOf.merchantReference(queue, referenceDigest('default', 'merchant', 'order-1'))],
  ])('(%s) costs the look-up, not the callback', async (_name, key) => {
    await redis.set(key(), 'somebody else wrote this');
    expect(await accept(callback)).toBe('queued');
    expect(await queued()).toEqual(['one']);
    expect(intake.isRedisUp()).toBe(true);
  });
});

describe('a callback on which the script fails', () => {
  test('goes to the spool alone; the rest of its batches is queued, and Redis counts as up', async () => {
    await plantCulprit('bad');
    const references = [...names(20, 'a'), 'bad', ...names(20, 'b')];
    const outcomes = await acceptAll(references);
    expect(outcomes.filter((outcome) => outcome === 'queued')).toHaveLength(40);
    expect(outcomes[20]).toBe('spooled');
    expect(intake.isRedisUp()).toBe(true);
  });

  test('is set aside from the spool with its job, and all entries around it are queued in order', async () => {
    await plantCulprit('bad-1');
    await plantCulprit('bad-2');
    const good = names(300, 'r');
    const references = [...good.slice(0, 5), 'bad-1', ...good.slice(5, 290), 'bad-2', ...good.slice(290)];
    for (const reference of references) await spoolAs(reference);
    await drainAll();
    expect(await queued()).toEqual(good);
    const { entries } = await quarantine.list();
    expect(entries.map(({ reason, gatewayReference }) => [reason, gatewayReference]).toSorted()).toEqual([
      ['refused', 'bad-1'],
      ['refused', 'bad-2'],
    ]);
    const entry = await quarantine.get(entries[0]?.id ?? '');
    expect(JSON.parse(entry?.body.toString() ?? '')).toMatchObject({ status: 'failed' });
  });

  test('stays in the spool while Redis refuses everything, and is queued once it does not', async () => {
    await redis.set(`${queue.base}:wait`, 'somebody else wrote this');
    for (const reference of names(20, 'r')) await spool.append(spoolEntry(reference));
    let tries = 0;
    const drain = startDrain({ submit: async (entries) => intake.resubmit(entries).finally(() => (tries += 1)) });
    await until(() => tries >= 100);
    expect(spool.stats().entries).toBe(20);
    expect((await quarantine.list()).entries).toEqual([]);
    await redis.del(`${queue.base}:wait`);
    await until(() => spool.stats().entries === 0);
    expect((await queued()).toSorted()).toEqual(names(20, 'r').toSorted());
    expect((await quarantine.list()).entries).toEqual([]);
    await drain.stop(5_000);
  });

  test('is set aside even if it is the only entry, once Redis has accepted another callback', async () => {
    await plantCulprit('bad');
    await spoolAs('bad');
    let tries = 0;
    const drain = startDrain({ submit: async (entries) => intake.resubmit(entries).finally(() => (tries += 1)) });
    await until(() => tries >= 2);
    expect(spool.stats().entries).toBe(1);
    expect(await acceptAll(['good'])).toEqual(['queued']);
    await until(() => spool.stats().entries === 0);
    expect((await quarantine.list()).entries.map(({ gatewayReference }) => gatewayReference)).toEqual(['bad']);
    await drain.stop(5_000);
  });

  test('is kept in the spool if even the quarantine in Redis refuses it', async () => {
    await plantCulprit('bad');
    await redis.set(keysOf.quarantine(queue), 'somebody else wrote this');
    for (const reference of ['before', 'bad', 'after']) await spoolAs(reference);
    const drain = startDrain();
    await until(() => spool.stats().entries === 0);
    expect(await queued()).toEqual(['before', 'after']);
    expect(spool.stats().quarantineEntries).toBe(1);
    await redis.del(keysOf.quarantine(queue));
    await drain.stop(5_000);
    await drainAll();
    expect((await quarantine.list()).entries.map(({ gatewayReference }) => gatewayReference)).toEqual(['bad']);
  });

  test('is a spooled entry of status pending too, which has no identity', async () => {
    const pending = spoolEntry('bad');
    for (const entry of [spoolEntry('before'), pending, spoolEntry('after')]) {
      const data = entry === pending ? entry.data.replace('"status":"success"', '"status":"pending"') : entry.data;
      await spool.append({ ...entry, data });
    }
    await drainAll();
    expect(await queued()).toEqual(['before', 'after']);
    expect((await quarantine.list()).entries).toHaveLength(1);
  });
});

test('an unreadable quarantine entry in the spool is kept raw, and blocks none after it', async () => {
  await spool.append({ ...refusedEntry('q0', Buffer.alloc(0)), data: '{"reason":"not-json", cut' });
  await spool.append({ ...refusedEntry('q1', Buffer.alloc(0)), data: '{"reason":7,"body":"/wI="}' });
  await spool.append(refusedEntry('q2', Buffer.from([0xff, 3])));
  await drainAll();
  const { entries } = await quarantine.list();
  expect(entries.map(({ reason }) => reason).toSorted()).toEqual(['not-json', 'unreadable', 'unreadable']);
  const bodies = await Promise.all(['q0', 'q1', 'q2'].map(async (id) => (await quarantine.get(id))?.body));
  expect(bodies).toEqual([Buffer.from('{"reason":"not-json", cut'), Buffer.from([0xff, 2]), Buffer.from([0xff, 3])]);
});

test('a quarantine entry in the spool that Redis refuses blocks none after it', async () => {
  for (const id of ['q1', 'q2', 'q3']) await spool.append(refusedEntry(id, Buffer.from(id)));
  const store = { ...quarantine };
  const drain = startDrain({
    submitQuarantine: async (entries) =>
      entries.some(({ nonce }) => nonce === 'q1') ? 'refused' : store.submit(entries),
  });
  await until(() => spool.stats().quarantineEntries === 1);
  expect((await quarantine.list()).entries.map(({ id }) => id).toSorted()).toEqual(['q2', 'q3']);
  await drain.stop(1_000);
});

function startDrain(overrides: Partial<Parameters<typeof createDrain>[0]> = {}) {
  const drain = createDrain({
    spool,
    submit: (entries) => intake.resubmit(entries),
    confirm: (entries) => intake.confirm(entries),
    submitQuarantine: (entries) => quarantine.submit(entries),
    setAside: (entry, reason) => quarantine.setAside(entry, reason),
    taken: (brand) => intake.taken(brand),
    log: { info: vi.fn<() => void>(), warn: vi.fn<() => void>() },
    ...overrides,
  });
  drain.start();
  ends.push(() => drain.stop(0));
  return drain;
}

/** Drains until nothing is left. */
async function drainAll(): Promise<void> {
  const drain = startDrain();
  await until(() => spool.stats().entries + spool.stats().quarantineEntries === 0);
  await drain.stop(5_000);
}

function claimKey(gatewayReference: string): string {
  return keysOf.claim(queue, digestOf({ brand: 'default', gatewayReference, kind: terminalKind }));
}

/** Makes the script fail on a failed callback of this reference: it is a conflict whose body cannot be stored. */
async function plantCulprit(gatewayReference: string): Promise<void> {
  const digest = digestOf({ brand: 'default', gatewayReference, kind: terminalKind });
  await redis.set(claimKey(gatewayReference), '.other,0,0,m,success,1KES', 'PX', 600_000);
  await redis.set(keysOf.conflicts(queue, digest), 'somebody else wrote this');
}

function isCulprit(reference: string): boolean {
  return reference.startsWith('bad');
}

async function accept(fields: CallbackFields): Promise<string> {
  const receivedAt = new Date().toISOString();
  const origin = { brand: 'default', source: 'callback', receivedAt, requestId: 'request' } as const;
  return (await intake.accept({ callback: callbackOf(fields), origin })).kind;
}

async function acceptAll(references: readonly string[]): Promise<string[]> {
  const planted = (await redis.exists(...references.map(conflictKey))) > 0;
  return Promise.all(
    references.map((reference) =>
      accept({ reference, status: planted && isCulprit(reference) ? 'failed' : 'success' }),
    ),
  );
}

function conflictKey(gatewayReference: string): string {
  return keysOf.conflicts(queue, digestOf({ brand: 'default', gatewayReference, kind: terminalKind }));
}

async function spoolAs(reference: string): Promise<void> {
  const entry = spoolEntry(reference);
  const data = isCulprit(reference) ? entry.data.replaceAll('success', 'failed') : entry.data;
  await spool.append({ ...entry, data });
}

function names(count: number, prefix: string): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** References in the order in which they were queued. */
async function queued(): Promise<string[]> {
  const ids = (await redis.lrange(`${queue.base}:wait`, 0, -1)).toReversed();
  const texts = await Promise.all(ids.map((id) => redis.hget(`${queue.base}:${id}`, 'data')));
  return texts.map((text) => String(JSON.parse(text ?? '{}').gatewayReference));
}
