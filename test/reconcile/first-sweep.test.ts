import { expect, test } from 'vitest';
import { readReconciliationReport } from '../../src/store/reconciliation/reconciliation-report.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo } from './reconcile-rig.ts';

const hourMs = 3_600_000;

const { server: redis } = await withRedis();

test.each([
  ['24h', [1, 23], [25, 30, 36, 47]],
  ['1h', [0.5], [1.2, 1.5, 1.9]], // the sweep of the last two hours reaches no further back, either
  ['40h', [1, 25, 39], [41, 60, 79]],
])('with RECONCILE_LOOKBACK=%s the first sweep delivers what it announced', async (lookback, inside, outside) => {
  await using rig = await createRig({ redisUrl: redis.url, environment: { RECONCILE_LOOKBACK: lookback } });
  const add = (hours: number) => rig.gateway.addTransactions({ createdAt: isoAgo(hours * hourMs) });
  const references = inside.flatMap(add).map(({ gatewayReference }) => gatewayReference);
  outside.forEach(add);
  const stage = rig.reconciliation();
  await stage.start();
  const report = () => readReconciliationReport(rig.redis, rig.queue, rig.clock.now());
  // Sweeps of both kinds have ended after it.
  await until(async () => (await report()).sweeps.filter(({ kind }) => kind === 'recent').length > 2);
  await until(async () => (await report()).sweeps.some(({ kind }) => kind === 'full'));
  await stage.stop(5_000);
  expect(rig.logged('reconcile.first_sweep')).toMatchObject([{ aboutToDeliver: inside.length }]);
  expect((await rig.jobs()).map(({ gatewayReference }) => gatewayReference).toSorted()).toEqual(references.toSorted());
});

test('a failing window holds up neither the first count nor deliveries from the others', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const [good] = rig.gateway.addTransactions({ createdAt: isoAgo(5 * hourMs) });
  const [bad] = rig.gateway.addTransactions({ createdAt: isoAgo(20 * hourMs) });
  rig.gateway.misbehave(bad?.gatewayReference ?? '', { record: { kind: 'answer', status: 400 } });
  const stage = rig.reconciliation();
  await stage.start();
  await until(async () => (await rig.jobs()).some((job) => job.gatewayReference === good?.gatewayReference));
  expect(rig.logged('reconcile.first_sweep')).toMatchObject([{ aboutToDeliver: 1, failedWindows: 1 }]);
  rig.gateway.misbehave(bad?.gatewayReference ?? '', {});
  await until(async () => (await rig.jobs()).length === 2);
  await stage.stop(5_000);
});
