// What a thief of the API key can do, and how it is detected: one test for each detection in the table of SECURITY.md.
import { expect, test } from 'vitest';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const hourMs = 3_600_000;
const signal = new AbortController().signal;

const { server: redis } = await withRedis();

const sweep = (rig: Rig) =>
  sweepWindow(rig.scope, { fromMs: rig.clock.now() - 5 * hourMs, toMs: rig.clock.now() }, sweepMode(), signal);

async function transaction(rig: Rig, status: string) {
  const [added] = rig.gateway.addTransactions({ status, createdAt: isoAgo(2 * hourMs) });
  const reference = added?.gatewayReference ?? '';
  return { reference, genuine: rig.gateway.bodyOf(reference) };
}

const asSuccess = (body: string, status: string) => body.replace(`"status": "${status}"`, '"status": "success"');

test('a forged success for a transaction that failed is corrected by the next sweep', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const { genuine } = await transaction(rig, 'failed');
  await rig.receive(asSuccess(genuine, 'failed'));
  expect(await sweep(rig)).toMatchObject({ counts: { corrections: 1 } });
  expect((await rig.jobs()).at(-1)).toMatchObject({ source: 'correction', sequence: 1, status: 'failed' });
});

test('a forged success for a pending transaction is corrected once that fails', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const { reference, genuine } = await transaction(rig, 'pending');
  await rig.receive(asSuccess(genuine, 'pending'));
  await sweep(rig);
  await rig.gateway.correct(reference, { status: 'failed' });
  rig.clock.advance(hourMs);
  await lookUp(rig);
  expect((await rig.jobs()).at(-1)).toMatchObject({ source: 'correction', sequence: 1, status: 'failed' });
});

test('a forged amount is corrected by the next sweep', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const { genuine } = await transaction(rig, 'success');
  await rig.receive(genuine.replaceAll('100.00', '900.00'));
  expect(await sweep(rig)).toMatchObject({ counts: { corrections: 1 } });
  expect((await rig.jobs()).at(-1)).toMatchObject({ source: 'correction', finalAmount: '100 KES' });
});

test('a forged contradiction is not delivered: it is kept, and refuted by the gateway', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const { genuine } = await transaction(rig, 'failed');
  await rig.receive(genuine);
  expect(await rig.receive(asSuccess(genuine, 'failed'))).toMatchObject({ kind: 'conflict' });
  await lookUp(rig);
  expect(await rig.jobs()).toMatchObject([{ source: 'callback', status: 'failed' }]);
  expect(rig.logged('reconcile.conflict_verified')).toMatchObject([{ decision: 'refuted' }]);
});
