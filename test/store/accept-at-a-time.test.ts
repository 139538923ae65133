// Where accept.lua puts jobs that await confirmation, at a chosen time: BullMQ orders delayed jobs by a score that contains
// the millisecond and twelve bits for the order within it.
import { beforeEach, expect, test } from 'vitest';
import { digestOf, terminalKind } from '../../src/callback/identity.ts';
import { createNonce, jobIdOf, toJobData, type Source } from '../../src/callback/job.ts';
import { keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { acceptArguments, acceptKeyCount, acceptScript, type AcceptItem } from '../../src/store/accept/accept-batch.ts';
import { unconfirmedMember } from '../../src/store/confirmation/unconfirmed.ts';
import { callbackOf, newReference } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { newQueue } from '../support/queues.ts';

const settings = {
  DEDUP_TTL: 60_000,
  RETAIN_COMPLETED: 60_000,
  RETAIN_FAILED: 60_000,
  QUARANTINE_RETAIN: 60_000,
  brands: new Map([['default', { confirm: 'before' }]] as const),
  CONFIRM_WAIT: 600_000,
};
const nowMs = 1_800_000_000_123;
const script = acceptScript.replaceAll("redis.call('TIME')", `{ '${Math.floor(nowMs / 1_000)}', '123999' }`);
const dueMs = nowMs + settings.CONFIRM_WAIT;
const [first, last] = [dueMs * 0x1000, (dueMs + 1) * 0x1000 - 1];

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;

beforeEach(() => {
  queue = newQueue();
});

function itemOf(source: Source = 'callback'): AcceptItem & { jobId: string; member: string } {
  const callback = callbackOf({ reference: newReference() });
  const { gatewayReference } = callback;
  const origin = { brand: 'default', source, receivedAt: new Date(nowMs).toISOString(), requestId: 'r' } as const;
  const nonce = createNonce();
  const data = JSON.stringify(toJobData(callback, origin));
  const jobId = jobIdOf(digestOf({ brand: 'default', gatewayReference, kind: terminalKind }), nonce);
  const member = unconfirmedMember({ gatewayReference, kind: terminalKind });
  return { callback, source, receivedAtMs: nowMs, nonce, data, jobId, member };
}

async function accept(items: readonly AcceptItem[], more: Partial<typeof settings> = {}): Promise<unknown> {
  return redis.eval(script, acceptKeyCount, ...acceptArguments(queue, { ...settings, ...more })(items));
}

async function delayed(): Promise<(string | number)[][]> {
  const flat = await redis.zrange(`${queue.base}:delayed`, '0', '-1', 'WITHSCORES');
  return flat.flatMap((id, at) => (at % 2 === 0 ? [[id, Number(flat[at + 1])]] : []));
}

const plant = async (id: string, score: number) => redis.zadd(`${queue.base}:delayed`, score, id);
const markedMs = async () => Number(await redis.zscore(`${queue.base}:marker`, '1'));

test('those of one batch come in the order in which they were called back, when the wait is over', async () => {
  const [one, other] = [itemOf(), itemOf()];
  expect(await accept([one, other])).toEqual(['queued', 'queued']);
  expect(await delayed()).toEqual([
    [one.jobId, first],
    [other.jobId, first + 1],
  ]);
  expect(await markedMs()).toBe(dueMs);
  expect(await redis.exists(`${queue.base}:wait`)).toBe(0);
  expect(await redis.hget(`${queue.base}:${one.jobId}`, 'delay')).toBe('600000');
});

test('behind what is due in the same millisecond, and before what is due in the next', async () => {
  await plant('before', first - 1);
  await plant('same', first + 4);
  await plant('next', last + 1);
  const item = itemOf();
  await accept([item]);
  expect(await delayed()).toEqual([
    ['before', first - 1],
    ['same', first + 4],
    [item.jobId, first + 5],
    ['next', last + 1],
  ]);
  expect(await markedMs()).toBe((first - 1) / 0x1000); // workers wake for the earliest
});

test('where all that waits is due earlier, at the beginning of its millisecond', async () => {
  await plant('before', first - 100);
  const item = itemOf();
  await accept([item]);
  expect(await delayed()).toContainEqual([item.jobId, first]);
});

test('where one is due at the beginning of that millisecond, behind it', async () => {
  await plant('same', first);
  const item = itemOf();
  await accept([item]);
  expect(await delayed()).toContainEqual([item.jobId, first + 1]);
});

test('where that millisecond is full, at its end and not later', async () => {
  await plant('last', last);
  const [one, other] = [itemOf(), itemOf()];
  await accept([one, other]);
  expect((await delayed()).map(([, score]) => score)).toEqual([last, last, last]);
});

test('a wait of a millisecond delays the job', async () => {
  const item = itemOf();
  await accept([item], { CONFIRM_WAIT: 1 });
  expect(await delayed()).toEqual([[item.jobId, (nowMs + 1) * 0x1000]]);
});

test('results from the gateway’s API wait for nothing, and need no confirmation', async () => {
  const [called, found] = [itemOf(), itemOf('records')];
  await accept([called, found]);
  expect(await redis.lrange(`${queue.base}:wait`, 0, -1)).toEqual([found.jobId]);
  expect(await redis.hget(`${queue.base}:${found.jobId}`, 'delay')).toBe('0');
  expect(await redis.zrange(keysOf.unconfirmed(queue), '0', '-1')).toEqual([called.member]);
});

test('with CONFIRM=after the gateway is asked once a sweep may have listed the callback', async () => {
  const item = itemOf();
  const before = Date.now();
  const after = { brands: new Map([['default', { confirm: 'after' }]] as const) };
  const asked = { ...settings, ...after, RECONCILE_GRACE: 300_000, RECONCILE_EVERY: 600_000 };
  await redis.eval(script, acceptKeyCount, ...acceptArguments(queue, asked)([item]));
  const askedMs = Number(await redis.zscore(keysOf.unconfirmed(queue), item.member));
  expect(askedMs).toBeGreaterThanOrEqual(before + 900_000);
  expect(askedMs).toBeLessThan(before + 960_000);
});

test('the events of the queue are bounded as its metadata says, else by ten thousand, which is noted there', async () => {
  await redis.set(keysOf.listening(queue), '1', 'PX', 60_000);
  await accept([itemOf()]);
  expect(await redis.hget(`${queue.base}:meta`, 'opts.maxLenEvents')).toBe('10000');
  await redis.hset(`${queue.base}:meta`, 'opts.maxLenEvents', 1);
  // Redis trims a stream only at full nodes.
  for (let batch = 0; batch < 30; batch += 1) await accept(Array.from({ length: 16 }, () => itemOf()));
  expect(await redis.xlen(`${queue.base}:events`)).toBeLessThan(400);
  expect(await redis.hget(`${queue.base}:meta`, 'opts.maxLenEvents')).toBe('1');
});

test('the first callback makes the queue known to dashboards, even if nobody listens to its events', async () => {
  await accept([itemOf()], { CONFIRM_WAIT: 0 });
  expect(await redis.hgetall(`${queue.base}:meta`)).toEqual({ 'opts.maxLenEvents': '10000' });
});

test('of a batch under a brand that had other names, each is found under the name that it was claimed by', async () => {
  const names = ['default', 'old', 'older'];
  const items = [itemOf(), itemOf(), itemOf()];
  const [known] = items;
  const digest = digestOf({
    brand: 'older',
    gatewayReference: known?.callback.gatewayReference ?? '',
    kind: terminalKind,
  });
  await redis.set(keysOf.claim(queue, digest), `.earlier,0,0,${nowMs.toString(36)},success,100KES`);
  await redis.set(keysOf.lineage(queue), 'lineage');
  const args = acceptArguments(queue, settings)(items, names, 'lineage');
  expect(await redis.eval(script, acceptKeyCount, ...args)).toEqual(['duplicate', 'queued', 'queued']);
  expect((await delayed()).map(([id]) => id)).toEqual(items.slice(1).map(({ jobId }) => jobId));
});
