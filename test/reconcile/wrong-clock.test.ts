// Clocks that were wrong once: stored times in the future are ignored, and delay nothing.
import { describe, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { firstSeen } from '../../src/store/reconciliation/first-seen.ts';
import { takeReconcilerLock } from '../../src/store/reconciliation/reconciler-lock.ts';
import { readReconciliationReport } from '../../src/store/reconciliation/reconciliation-report.ts';
import { readSweepState, writeSweepState, type SweepState } from '../../src/store/reconciliation/sweep-state.ts';
import { createCallPace } from '../../src/reconcile/gateway/call-pace.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo, lookUp, type Rig } from './reconcile-rig.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const yearMs = 365 * dayMs;

const { server: redis } = await withRedis();

const rigOf = (environment: Record<string, string> = {}) => createRig({ redisUrl: redis.url, environment });
const report = (rig: Rig) => readReconciliationReport(rig.redis, rig.queue, rig.clock.now());
const sweeps = async (rig: Rig, kind: 'recent' | 'full') =>
  (await report(rig)).sweeps.filter((sweep) => sweep.kind === kind && Date.parse(sweep.to) <= Date.now() + 1_000)
    .length;

async function whileRunning(rig: Rig, action: () => Promise<unknown>) {
  const stage = rig.reconciliation({ windowMs: dayMs });
  await stage.start();
  await action();
  await stage.stop(5_000);
}

async function plant(rig: Rig, state: SweepState) {
  await rig.redis.set(keysOf.reconciler(rig.queue), 'planted');
  await writeSweepState(rig.redis, rig.queue, 'planted', state);
  await rig.redis.del(keysOf.reconciler(rig.queue));
}

describe('one start with a clock that is ahead, then one with the right time', () => {
  test.each([
    ['a year', yearMs],
    ['30 days', 30 * dayMs],
    ['2 days', 2 * dayMs],
    ['an hour', hourMs],
  ])('by %s: sweeps in full, and catches up, at once', { timeout: 60_000 }, async (_name, aheadMs) => {
    await using rig = await rigOf();
    rig.clock.set(aheadMs);
    await whileRunning(rig, () => until(async () => (await readSweepState(rig.redis, rig.queue)).endedWell?.fullMs));
    rig.clock.set(-aheadMs);
    const before = (await rig.jobs()).length;
    const [old, recent] = [20, 0.3].map((hours) =>
      rig.gateway.addTransactions({ createdAt: isoAgo(hours * hourMs), completedAfterMs: 0 }),
    );
    await whileRunning(rig, async () => {
      await until(async () => (await rig.jobs()).length === before + 2, { timeoutMs: 20_000 });
      await until(async () => (await sweeps(rig, 'full')) > 0);
      await until(async () => Date.parse((await report(rig)).lastFull ?? '') > Date.now() - hourMs);
    });
    const references = (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
    expect(references).toContain(old?.[0]?.gatewayReference);
    expect(references).toContain(recent?.[0]?.gatewayReference);
  });

  test('a service that was down for days before still catches up', { timeout: 60_000 }, async () => {
    await using rig = await rigOf();
    await plant(rig, { checkpointMs: Date.now() - 5 * dayMs, plannedAtMs: Date.now() - 5 * dayMs });
    rig.clock.set(yearMs);
    await whileRunning(rig, () =>
      until(async () => ((await readSweepState(rig.redis, rig.queue)).checkpointMs ?? 0) > Date.now() + dayMs, {
        timeoutMs: 30_000,
      }),
    );
    rig.clock.set(-yearMs);
    rig.gateway.addTransactions({ createdAt: isoAgo(4 * dayMs) });
    await whileRunning(rig, () => until(async () => (await rig.jobs()).length === 1, { timeoutMs: 20_000 }));
  });
});

test.each<[string, () => SweepState]>([
  ['the checkpoint', () => ({ checkpointMs: Date.now() + yearMs })],
  ['the last full sweep', () => ({ checkpointMs: Date.now(), plannedAtMs: Date.now() + yearMs })],
  ['a plan', () => planned(yearMs, yearMs, 2 * yearMs)],
  ['the end of a plan', () => planned(-2 * dayMs, -2 * dayMs, yearMs)],
  ['a failed window', () => behind(dayMs, 0)],
  ['the next try of a failed window', () => behind(-4 * hourMs, yearMs)],
])('%s that lies in the future holds up nothing', async (_name, stateOf) => {
  await using rig = await rigOf();
  await plant(rig, stateOf());
  rig.gateway.addTransactions({ createdAt: isoAgo(3.5 * hourMs) });
  await whileRunning(rig, async () => {
    await until(async () => (await rig.jobs()).length === 1);
    await until(async () => (await sweeps(rig, 'full')) > 0);
  });
  const { behind: left = [], plan } = await readSweepState(rig.redis, rig.queue);
  expect({ left, plan }).toEqual({ left: [], plan: undefined });
});

function planned(fromMs: number, atMs: number, toMs: number): SweepState {
  const nowMs = Date.now();
  const plan = { fromMs: nowMs + fromMs, atMs: nowMs + atMs, toMs: nowMs + toMs };
  return { checkpointMs: nowMs, plannedAtMs: nowMs, plan };
}

function behind(fromMs: number, dueMs: number): SweepState {
  const nowMs = Date.now();
  const window = { fromMs: nowMs + fromMs, toMs: nowMs + fromMs + hourMs, sinceMs: nowMs, dueMs: nowMs + dueMs };
  return { checkpointMs: nowMs, behind: [{ ...window, isSwept: false }] };
}

test.each([
  ['back by an hour', -hourMs],
  ['back by a year', -yearMs],
  ['forward by a year, and back', yearMs],
])('a clock that is set %s while it runs costs at most one interval', { timeout: 60_000 }, async (_name, byMs) => {
  await using rig = await rigOf();
  await whileRunning(rig, async () => {
    await until(async () => (await sweeps(rig, 'full')) > 0);
    rig.clock.set(byMs);
    const count = () => rig.logged('reconcile.swept').filter(({ kind }) => kind === 'recent').length;
    const before = count();
    await until(() => count() > before + 2);
    rig.clock.set(-byMs);
    const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(5_000), completedAfterMs: 0 });
    await until(async () => (await rig.jobs()).some((job) => job.gatewayReference === one?.gatewayReference), {
      timeoutMs: 20_000,
    });
  });
});

test('a garbled state counts as missing, and the sweeps continue', async () => {
  await using rig = await rigOf();
  const garbled = { checkpointMs: '1e300', plannedAtMs: 'x', plan: '{"atMs":1}', behind: '7', endedWell: '[]' };
  await rig.redis.hset(keysOf.sweepState(rig.queue), garbled);
  rig.gateway.addTransactions({ createdAt: isoAgo(hourMs) });
  await whileRunning(rig, () => until(async () => (await rig.jobs()).length === 1));
  expect((await report(rig)).checkpoint).not.toBeNull();
});

describe('a look-up that was postponed under a clock that was ahead is made now', () => {
  test.each(['expectation', 'watched', 'conflict'])('%s', async (kind) => {
    await using rig = await rigOf();
    const [one] = rig.gateway.addTransactions({ createdAt: isoAgo(hourMs) });
    const gatewayReference = one?.gatewayReference ?? '';
    const futureMs = Date.now() + 30 * dayMs;
    if (kind === 'expectation') await registerExpectation(rig.redis, rig.queue, { gatewayReference }, futureMs);
    else if (kind === 'watched') {
      await rig.redis.zadd(keysOf.watched(rig.queue), Date.now() - hourMs, gatewayReference);
      await rig.redis.zadd(keysOf.watchedDue(rig.queue), futureMs, gatewayReference);
    } else {
      await rig.receive(rig.gateway.bodyOf(gatewayReference));
      await rig.gateway.correct(gatewayReference, { status: 'failed' });
      await rig.receive(rig.gateway.bodyOf(gatewayReference));
      const [id = ''] = await rig.redis.zrange(keysOf.unverified(rig.queue), '0', '-1');
      await rig.redis.zadd(keysOf.unverified(rig.queue), futureMs, id);
    }
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([
      { gatewayReference, source: kind === 'conflict' ? 'correction' : 'status' },
    ]);
  });

  test('but not one that is postponed normally', async () => {
    await using rig = await rigOf({ RECONCILE_GRACE: '2h' });
    const [one] = rig.gateway.addTransactions();
    const gatewayReference = one?.gatewayReference ?? '';
    await registerExpectation(rig.redis, rig.queue, { gatewayReference }, Date.now() + 2 * hourMs);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
  });
});

test('a transaction first seen ended under a clock that was ahead gets its grace from now on, not from then', async () => {
  await using rig = await rigOf();
  const nowMs = Date.now();
  await firstSeen(rig.redis, rig.queue, ['digest'], { nowMs: nowMs + yearMs, keptMs: dayMs });
  expect(await firstSeen(rig.redis, rig.queue, ['digest'], { nowMs, keptMs: dayMs })).toEqual([nowMs]);
  expect(await firstSeen(rig.redis, rig.queue, ['digest'], { nowMs: nowMs + 1, keptMs: dayMs })).toEqual([nowMs]);
});

test('a watched transaction is not given up because one start was years ahead', async () => {
  await using rig = await rigOf();
  const [one] = rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(3 * dayMs) });
  const gatewayReference = one?.gatewayReference ?? '';
  await rig.redis.zadd(keysOf.watched(rig.queue), Date.now() - 3 * dayMs, gatewayReference);
  await rig.redis.zadd(keysOf.watchedDue(rig.queue), Date.now(), gatewayReference);
  rig.clock.set(yearMs);
  await lookUp(rig);
  rig.clock.set(-yearMs);
  await rig.gateway.correct(gatewayReference, { status: 'success' });
  rig.clock.advance(7 * hourMs);
  await lookUp(rig);
  expect(await rig.jobs()).toMatchObject([{ gatewayReference }]);
});

test('a dead reconciler’s lock that Redis keeps for an hour, since its clock was set back, is taken over', async () => {
  await using rig = await rigOf();
  await rig.redis.set(keysOf.reconciler(rig.queue), 'dead', 'PX', hourMs);
  expect(await takeReconcilerLock(rig.redis, rig.queue, 'next', 5_000)).toBe(true);
  expect(await takeReconcilerLock(rig.redis, rig.queue, 'other', 5_000)).toBe(false);
  expect(await rig.redis.pttl(keysOf.reconciler(rig.queue))).toBeLessThanOrEqual(5_000);
});

test('a clock that is set back delays no call to the gateway', async () => {
  let wallMs = Date.now();
  const slept: number[] = [];
  const clock = {
    now: () => wallMs,
    elapsed: () => performance.now(),
    sleep: async (ms: number) => void slept.push(ms),
  };
  const takeSlot = createCallPace({ callsPerSecond: 40, burst: 2, clock });
  const { signal } = new AbortController();
  for (let calls = 0; calls < 3; calls += 1) await takeSlot(signal);
  wallMs -= hourMs;
  await takeSlot(signal);
  expect(Math.max(...slept)).toBeLessThan(1_000);
});

test('a sweep that ended in the future does not look fresh', async () => {
  await using rig = await rigOf();
  const futureMs = Date.now() + yearMs;
  await plant(rig, { checkpointMs: futureMs, endedWell: { allMs: futureMs, recentMs: futureMs, fullMs: futureMs } });
  expect(await report(rig)).toMatchObject({ checkpoint: null, lastSuccess: null, lastRecent: null, lastFull: null });
});
