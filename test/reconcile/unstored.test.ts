// If a result cannot be stored, or another one is stored at the same moment, reconciliation looks it up again until it is
// stored. The gateway's errors about a reference do not end the watch.
import { describe, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { countExpectations, registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const full = { kind: 'unavailable', reason: 'it is full' } as const;

const { server: redis } = await withRedis({ durable: false });

const rigOf = () => createRig({ redisUrl: redis.url, environment: { CONFIRM: 'off' } });
const sweep = (rig: Rig, scope = rig.scope) =>
  sweepWindow(scope, { fromMs: rig.clock.now() - dayMs, toMs: rig.clock.now() }, sweepMode(), signal);
const watched = (rig: Rig) => rig.redis.zcard(keysOf.watched(rig.queue));

/** A transaction pending for long enough to be looked up. */
async function watchOne(rig: Rig): Promise<string> {
  const [transaction] = rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(2 * hourMs) });
  await sweep(rig);
  return transaction?.gatewayReference ?? '';
}

test('a window whose results cannot be stored is not swept, and is the next time', async () => {
  await using rig = await rigOf();
  rig.gateway.addTransactions({ createdAt: isoAgo(hourMs) });
  expect(await sweep(rig, rig.scopeSaying(full))).toMatchObject({ kind: 'failed', reason: 'storage-unavailable' });
  expect(await rig.jobs()).toEqual([]);
  rig.clock.advance(2 * minuteMs + 1); // the gateway's pace
  expect(await sweep(rig)).toMatchObject({ kind: 'swept', counts: { injected: 1 } });
  expect(await rig.jobs()).toMatchObject([{ source: 'records' }]);
});

test('an expectation whose result cannot be stored stays one, and is asked for again two minutes later', async () => {
  await using rig = await rigOf();
  const [transaction] = rig.gateway.addTransactions();
  const gatewayReference = transaction?.gatewayReference ?? '';
  await registerExpectation(rig.redis, rig.queue, { gatewayReference }, rig.clock.now());
  await lookUp({ scope: rig.scopeSaying(full) });
  expect(await countExpectations(rig.redis, rig.queue)).toBe(1);
  await lookUp(rig);
  expect(rig.gateway.calls().status).toBe(1);
  rig.clock.advance(2 * minuteMs + 1);
  await lookUp(rig);
  expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference }]);
  expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
});

describe('a watched transaction', () => {
  test.for([
    ['cannot be stored', full],
    ['is overtaken in that moment', { kind: 'overtaken' }],
  ] as const)('whose result %s stays watched, and is looked up again two minutes later', async ([, outcome]) => {
    await using rig = await rigOf();
    const gatewayReference = await watchOne(rig);
    await rig.gateway.correct(gatewayReference, { status: 'success' });
    await lookUp({ scope: rig.scopeSaying(outcome) });
    expect(await watched(rig)).toBe(1);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(1);
    rig.clock.advance(2 * minuteMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference }]);
    expect(await watched(rig)).toBe(0);
  });

  test.for([404, 422] as const)(
    'about which the gateway answers %i stays watched, and is rarely looked up',
    async (status) => {
      await using rig = await rigOf();
      const gatewayReference = await watchOne(rig);
      rig.gateway.setOutage({ kind: 'answer', status });
      await lookUp(rig);
      expect(rig.logged('reconcile.look_up_failed')).toMatchObject([{ gatewayReference }]);
      rig.gateway.setOutage(null);
      await rig.gateway.correct(gatewayReference, { status: 'success' });
      await lookUp(rig);
      expect(await watched(rig)).toBe(1);
      rig.clock.advance(hourMs);
      await lookUp(rig);
      expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference }]);
    },
  );

  test('whose callback came meanwhile is no longer watched', async () => {
    await using rig = await rigOf();
    const gatewayReference = await watchOne(rig);
    await rig.gateway.correct(gatewayReference, { status: 'success' });
    await rig.receive(rig.gateway.bodyOf(gatewayReference));
    await lookUp(rig);
    expect(await watched(rig)).toBe(0);
    expect(await rig.jobs()).toMatchObject([{ source: 'callback' }]);
  });

  test('that is reversed by then is delivered once as such, and asked for again while it cannot be stored', async () => {
    await using rig = await rigOf();
    const gatewayReference = await watchOne(rig);
    await rig.receive(rig.gateway.bodyOf(gatewayReference).replace('"pending"', '"success"'));
    await rig.gateway.correct(gatewayReference, { status: 'reversed' });
    await lookUp({ scope: rig.scopeSaying(full) });
    const delivered = [{ status: 'success' }, { status: 'reversed', source: 'status' }];
    rig.clock.advance(2 * minuteMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject(delivered);
    rig.clock.advance(hourMs);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject(delivered);
  });
});
