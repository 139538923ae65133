import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { readReconciliationReport } from '../../src/store/reconciliation/reconciliation-report.ts';
import { readSweepState, writeSweepState } from '../../src/store/reconciliation/sweep-state.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo, type Rig, type RigOptions } from './reconcile-rig.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const { server: redis } = await withRedis();

const rigOf = (options: Omit<RigOptions, 'redisUrl'> = {}) => createRig({ redisUrl: redis.url, ...options });

/** Runs the stage until the end of the test's block. */
async function running(rig: Rig, settings: Parameters<Rig['reconciliation']>[0] = {}) {
  const stage = rig.reconciliation(settings);
  await stage.start();
  return { [Symbol.asyncDispose]: () => stage.stop(5_000) };
}

const report = (rig: Rig) => readReconciliationReport(rig.redis, rig.queue, rig.clock.now());

test('announces how many callbacks the first sweep will deliver, then delivers them', async () => {
  await using rig = await rigOf();
  rig.gateway.addTransactions({ count: 12, createdAt: isoAgo(5 * hourMs), everyMs: 60_000 });
  await using _ = await running(rig);
  await until(async () => (await rig.jobs()).length === 12);
  const told = rig.lines.findIndex(({ event }) => event === 'reconcile.first_sweep');
  const first = rig.lines.findIndex(({ event }) => event === 'reconcile.injected');
  expect(rig.lines[told]).toMatchObject({ aboutToDeliver: 12, seen: 12 });
  expect(told).toBeLessThan(first);
});

test('reports each sweep, in the log and for the operator, and moves the checkpoint', async () => {
  await using rig = await rigOf();
  rig.gateway.addTransactions({ count: 2, createdAt: isoAgo(3 * hourMs) });
  await using _ = await running(rig);
  const full = await until(async () => (await report(rig)).sweeps.find(({ kind }) => kind === 'full'));
  expect(full).toMatchObject({ seen: 2, missing: 2, injected: 2, known: 0, corrections: 0, errors: 0 });
  expect(rig.logged('reconcile.swept').find(({ kind }) => kind === 'full')).toMatchObject({ ...full });
  const { checkpoint, lastSuccess, openExpectations, pendingTooLong } = await report(rig);
  expect(Date.parse(checkpoint ?? '')).toBeGreaterThan(Date.now() - 60_000);
  expect(Date.parse(lastSuccess ?? '')).toBeGreaterThan(Date.now() - 60_000);
  expect({ openExpectations, pendingTooLong }).toEqual({ openExpectations: 0, pendingTooLong: 0 });
  await until(async () =>
    /timestamp_seconds 1\d{9}/.test(
      await rig.metrics.registry.getSingleMetricAsString('payalo_reconciliation_last_success_timestamp_seconds'),
    ),
  );
});

test('sweeps again and again: what was lost later is found, too', async () => {
  await using rig = await rigOf();
  await using _ = await running(rig);
  await until(async () => (await report(rig)).checkpoint !== null);
  const [transaction] = rig.gateway.addTransactions({ completedAfterMs: 0 });
  await until(async () => (await rig.jobs()).some((job) => job.gatewayReference === transaction?.gatewayReference));
});

test('catches up from the checkpoint after an outage', async () => {
  await using rig = await rigOf();
  await rig.redis.set(keysOf.reconciler(rig.queue), 'test');
  await writeSweepState(rig.redis, rig.queue, 'test', { checkpointMs: Date.now() - 5 * dayMs, plannedAtMs: 0 });
  await rig.redis.del(keysOf.reconciler(rig.queue));
  rig.gateway.addTransactions({ count: 10, createdAt: isoAgo(5 * dayMs), everyMs: dayMs / 2 });
  await using _ = await running(rig);
  await until(async () => (await rig.jobs()).length === 10);
  await until(async () => ((await readSweepState(rig.redis, rig.queue)).checkpointMs ?? 0) > Date.now() - 60_000);
});

test('continues where it was killed: finished windows are not swept again', async () => {
  await using rig = await rigOf();
  const nowMs = Date.now();
  await rig.redis.set(keysOf.reconciler(rig.queue), 'dead');
  await writeSweepState(rig.redis, rig.queue, 'dead', {
    checkpointMs: nowMs - 2 * dayMs,
    plannedAtMs: nowMs,
    plan: { fromMs: nowMs - 5 * dayMs, toMs: nowMs, atMs: nowMs - 2 * dayMs },
  });
  await rig.redis.del(keysOf.reconciler(rig.queue));
  const [, swept] = [0, 1].map((at) =>
    rig.gateway.addTransactions({ createdAt: isoAgo((2 * at + 1) * dayMs), merchantReferencePrefix: `day${at}` }),
  );
  await using _ = await running(rig);
  await until(async () => (await readSweepState(rig.redis, rig.queue)).plan === undefined);
  const references = (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
  expect(references).toHaveLength(1);
  expect(references).not.toContain(swept?.[0]?.gatewayReference);
});

test('only one of many reconcilers sweeps; another takes over when it stops', async () => {
  await using rig = await rigOf();
  const first = rig.reconciliation();
  await first.start();
  await until(async () => (await rig.redis.exists(keysOf.reconciler(rig.queue))) === 1);
  const leader = await rig.redis.get(keysOf.reconciler(rig.queue));
  await using _ = await running(rig);
  await until(async () => (await report(rig)).sweeps.length > 3);
  expect(await rig.redis.get(keysOf.reconciler(rig.queue))).toBe(leader);
  await first.stop(5_000);
  const successor = await until(() => rig.redis.get(keysOf.reconciler(rig.queue)));
  expect(successor).not.toBe(leader);
});

test('a reconciler that lost the lock moves no checkpoint', async () => {
  await using rig = await rigOf();
  await rig.redis.set(keysOf.reconciler(rig.queue), 'successor');
  expect(await writeSweepState(rig.redis, rig.queue, 'lost', { checkpointMs: 1 })).toBe(false);
  expect(await readSweepState(rig.redis, rig.queue)).toEqual({});
});

test('survives an outage of the gateway: it logs that, keeps the checkpoint, and finds everything afterwards', async () => {
  await using rig = await rigOf();
  await using _ = await running(rig);
  await until(async () => (await report(rig)).sweeps.some(({ kind }) => kind === 'full'));
  rig.gateway.setOutage({ kind: 'answer', status: 403 });
  await until(async () => (await report(rig)).sweeps[0]?.failure !== undefined);
  const before = (await readSweepState(rig.redis, rig.queue)).checkpointMs;
  rig.gateway.addTransactions({ count: 5, completedAfterMs: 0 });
  await until(async () => (await report(rig)).sweeps.filter(({ failure }) => failure !== undefined).length > 2);
  expect((await readSweepState(rig.redis, rig.queue)).checkpointMs).toBe(before);
  rig.gateway.setOutage(null);
  await until(async () => (await rig.jobs()).length === 5);
  expect((await report(rig)).sweeps.find(({ failure }) => failure !== undefined)).toMatchObject({ errors: 1 });
});

test('warns at start if the gateway accepts none of the keys', async () => {
  await using rig = await rigOf();
  rig.gateway.setKeys(['another-key-of-the-brand']);
  await using _ = await running(rig);
  await until(() => rig.logged('gateway.unauthorized').length > 0);
  await until(() => rig.logged('reconcile.swept').some(({ failure }) => failure === 'unauthorized'));
});

test('logs once, and does nothing, if no gateway is configured', async () => {
  await using rig = await rigOf();
  const brands = new Map(
    [...rig.config.brands].map(([name, brand]) => [name, { ...brand, gatewayBaseUrl: undefined }]),
  );
  const { createReconciliation } = await import('../../src/reconcile/reconciliation.ts');
  const stage = createReconciliation({ ...rig.dependencies, config: { ...rig.config, brands } });
  await stage.start();
  await stage.stop(5_000);
  expect(rig.logged('reconcile.off')).toHaveLength(1);
});
