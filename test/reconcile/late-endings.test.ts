// Every transaction that was seen unfinished is watched until it ends, however late.
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { countPendingSince } from '../../src/store/reconciliation/watched.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const { server: redis } = await withRedis();

const rigOf = (environment: Record<string, string> = {}) =>
  createRig({ redisUrl: redis.url, environment: { RECONCILE_GRACE: '5m', ...environment } });
/** As the hourly sweep of the whole lookback does. */
const sweep = (rig: Rig, lookbackMs = dayMs) =>
  sweepWindow(rig.scope, { fromMs: rig.clock.now() - lookbackMs, toMs: rig.clock.now() }, sweepMode(), signal);
const watched = (rig: Rig) => rig.redis.zcard(keysOf.watchedDue(rig.queue));

async function pass(rig: Rig, ms: number) {
  rig.clock.advance(ms);
  await lookUp(rig);
}

test('one that ends at the edge of the lookback is delivered after RECONCILE_GRACE', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(dayMs - minuteMs) });
  const reference = one?.gatewayReference ?? '';
  await sweep(rig);
  await lookUp(rig);
  await rig.gateway.correct(reference, { status: 'success' });
  await sweep(rig); // the last one that sees it: ended, but early
  expect(await rig.jobs()).toEqual([]);
  await pass(rig, 6 * minuteMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, source: 'status' }]);
  expect(await watched(rig)).toBe(0);
});

test('one that ended early in a catch-up, beyond the lookback, is delivered after RECONCILE_GRACE', async () => {
  await using rig = await rigOf();
  const agoMs = 5 * dayMs;
  const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(agoMs), completedAfterMs: agoMs - minuteMs });
  await sweep(rig, 6 * dayMs);
  expect(await rig.jobs()).toEqual([]);
  await pass(rig, 5 * minuteMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: one?.gatewayReference }]);
});

test.each([0.5, 2, 400])(
  'one whose completion lies %d days in the future is delivered RECONCILE_GRACE after it was seen ended',
  async (days) => {
    await using rig = await rigOf();
    const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(hourMs), completedAfterMs: days * dayMs });
    expect(await sweep(rig)).toMatchObject({ counts: { early: 1 } });
    rig.clock.advance(5 * minuteMs + 1);
    await sweep(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: one?.gatewayReference }]);
  },
);

test('one whose status call failed during a catch-up is delivered once it answers, although no sweep looks there', async () => {
  await using rig = await rigOf();
  const agoMs = 3 * dayMs;
  const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(agoMs), completedAfterMs: agoMs - 20 * minuteMs });
  rig.gateway.setOutage({ kind: 'answer', status: 503, on: 'status' });
  expect(await sweep(rig, 4 * dayMs)).toMatchObject({ counts: { missing: 1, injected: 0, errors: 1 } });
  await pass(rig, 3 * minuteMs);
  expect(await rig.jobs()).toEqual([]);
  rig.gateway.setOutage(null);
  await pass(rig, 3 * minuteMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: one?.gatewayReference, source: 'status' }]);
});

test('one in_review for days is delivered once it ends, and does not count as pending', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ status: 'in_review', createdAt: isoAgo(2 * hourMs) });
  const reference = one?.gatewayReference ?? '';
  await sweep(rig);
  await pass(rig, 30 * hourMs);
  expect(await rig.jobs()).toEqual([]);
  expect(await watched(rig)).toBe(1);
  expect(await countPendingSince(rig.redis, rig.queue, rig.clock.now())).toBe(0);
  await rig.gateway.correct(reference, { status: 'failed' });
  rig.gateway.misbehave(reference, {});
  await pass(rig, 7 * hourMs);
  await pass(rig, 7 * hourMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, status: 'failed' }]);
  expect(await watched(rig)).toBe(0);
});

test('one that was delivered as success, then in_review for days, is corrected if it ends otherwise', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(2 * hourMs) });
  const reference = one?.gatewayReference ?? '';
  await rig.receive(rig.gateway.bodyOf(reference));
  await rig.gateway.correct(reference, { status: 'in_review' });
  await sweep(rig);
  await pass(rig, 30 * hourMs);
  await rig.gateway.correct(reference, { status: 'failed' });
  await pass(rig, 7 * hourMs);
  expect(await rig.jobs()).toMatchObject([
    { source: 'status', status: 'in_review' }, // reported as soon as it was seen
    { source: 'correction', sequence: 1, status: 'failed' },
  ]);
  expect(await watched(rig)).toBe(0);
});

test('one whose creation lies in the future, according to its record, is watched until it ends', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(dayMs - 2 * minuteMs) });
  const reference = one?.gatewayReference ?? '';
  const misdated = () => {
    const text = rig.gateway.bodyOf(reference).replace(/"createdAt": *"[^"]*"/, '"createdAt": "2924-01-01T00:00:00Z"');
    return { kind: 'bytes', base64: Buffer.from(text).toString('base64') } as const;
  };
  rig.gateway.misbehave(reference, { record: misdated() });
  await sweep(rig); // the last one that sees it
  await pass(rig, hourMs);
  await rig.gateway.correct(reference, { status: 'success' });
  await pass(rig, 7 * hourMs);
  await pass(rig, 7 * hourMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, status: 'success' }]);
});

test('one that an expectation found in_review is watched from there', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ status: 'in_review' });
  const reference = one?.gatewayReference ?? '';
  const { registerExpectation } = await import('../../src/store/reconciliation/expectations.ts');
  await registerExpectation(rig.redis, rig.queue, { gatewayReference: reference }, rig.clock.now());
  await lookUp(rig);
  await rig.gateway.correct(reference, { status: 'success' });
  await pass(rig, 2 * dayMs);
  await pass(rig, 6 * minuteMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference }]);
});

test('with a short lookback everything unfinished is seen at an age at which it is watched', async () => {
  await using rig = await rigOf({ RECONCILE_LOOKBACK: '20m', RECONCILE_EVERY: '5m' });
  const [one] = rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(11 * minuteMs) });
  await sweep(rig, 20 * minuteMs);
  await rig.gateway.correct(one?.gatewayReference ?? '', { status: 'success' });
  await pass(rig, 3 * hourMs);
  await pass(rig, 3 * hourMs);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference: one?.gatewayReference }]);
});

test('the watch ends once it is too old to be injected: DEDUP_TTL', async () => {
  await using rig = await rigOf({ DEDUP_TTL: '2d' });
  rig.gateway.addTransactions({ status: 'in_review', createdAt: isoAgo(47.5 * hourMs) });
  await sweep(rig, 2 * dayMs);
  expect(await watched(rig)).toBe(1);
  await pass(rig, hourMs);
  // Redis's clock disagrees, and one clock alone is not enough to give up.
  expect(await watched(rig)).toBe(1);
});
