import { describe, expect, test } from 'vitest';
import { countExpectations, registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { countPendingSince } from '../../src/store/reconciliation/watched.ts';
import { watchIntervalMs } from '../../src/reconcile/sweep/watch-unfinished.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig, type RigOptions } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const { server: redis } = await withRedis();

const rigOf = (options: Omit<RigOptions, 'redisUrl'> = {}) => createRig({ redisUrl: redis.url, ...options });
const referenceOf = (transactions: readonly { gatewayReference: string }[]) => transactions[0]?.gatewayReference ?? '';

describe('an expectation', () => {
  const expectOne = (rig: Rig, gatewayReference: string, inMs = 0) =>
    registerExpectation(rig.redis, rig.queue, { gatewayReference }, rig.clock.now() + inMs);

  test('whose callback came costs no call to the gateway', async () => {
    await using rig = await rigOf();
    const reference = referenceOf(rig.gateway.addTransactions());
    await expectOne(rig, reference);
    await rig.receive(rig.gateway.bodyOf(reference));
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
  });

  test('is looked up only once it is due; if terminal, it is injected with source status', async () => {
    await using rig = await rigOf();
    const reference = referenceOf(rig.gateway.addTransactions());
    await expectOne(rig, reference, minuteMs);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
    rig.clock.advance(minuteMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'status', body: rig.gateway.bodyOf(reference) }]);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
  });

  test('whose reference the gateway does not know is found by the merchant’s', async () => {
    await using rig = await rigOf();
    const [transaction] = rig.gateway.addTransactions();
    if (transaction === undefined) throw new Error('there is one');
    const { gatewayReference, merchantReference } = transaction;
    const mistaken = { gatewayReference: 'mistaken', merchantReference };
    await registerExpectation(rig.redis, rig.queue, mistaken, rig.clock.now());
    await lookUp(rig);
    rig.clock.advance(1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference, source: 'status' }]);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
  });

  test('registered twice is one', async () => {
    await using rig = await rigOf();
    await expectOne(rig, 'b2p1', 5);
    await expectOne(rig, 'b2p1', 500_000);
    const open = await rig.redis.zrange(keysOf.expectations(rig.queue), '0', '-1', 'WITHSCORES');
    expect(open).toHaveLength(2);
    expect(Number(open[1])).toBeLessThan(rig.clock.now() + 100_000);
  });

  test('that is pending is watched from there', async () => {
    await using rig = await rigOf();
    const reference = referenceOf(rig.gateway.addTransactions({ status: 'pending' }));
    await expectOne(rig, reference);
    await lookUp(rig);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
    await rig.gateway.correct(reference, { status: 'success' });
    await lookUp(rig);
    expect(await rig.jobs()).toEqual([]);
    rig.clock.advance(31 * minuteMs);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference: reference }]);
  });

  test('that the gateway does not know is looked up again two minutes later, warned about, and given up after a day', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_GRACE: '5m' } });
    await expectOne(rig, 'b2punknown');
    await lookUp(rig);
    rig.clock.advance(2 * minuteMs - 1_000);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(1);
    rig.clock.advance(1_001);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(2);
    expect(rig.logged('reconcile.expectation_unknown')).toMatchObject([{ givenUp: false }, { givenUp: false }]);
    for (let hours = 0; hours < 23; hours += 1) {
      rig.clock.advance(hourMs);
      await lookUp(rig);
    }
    expect(rig.logged('reconcile.expectation_unknown').at(-1)).toMatchObject({ givenUp: false });
    rig.clock.advance(hourMs);
    await lookUp(rig);
    expect(rig.logged('reconcile.expectation_unknown').at(-1)).toMatchObject({ givenUp: true });
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
    expect(await rig.redis.exists(keysOf.unknownExpectations(rig.queue))).toBe(0);
  });

  test('is not given up because of one clock that is a year ahead', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_GRACE: '5m' } });
    await expectOne(rig, 'b2punknown');
    await lookUp(rig);
    rig.clock.set(365 * dayMs);
    await lookUp(rig);
    expect(rig.logged('reconcile.expectation_unknown')).toMatchObject([{ givenUp: false }, { givenUp: false }]);
    rig.clock.set(-365 * dayMs);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(1);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(3); // looked up again, although that clock postponed it
  });

  test('survives an outage of the gateway', async () => {
    await using rig = await rigOf();
    const reference = referenceOf(rig.gateway.addTransactions());
    await expectOne(rig, reference);
    rig.gateway.setOutage({ kind: 'answer', status: 403 });
    await lookUp(rig);
    expect(await countExpectations(rig.redis, rig.queue)).toBe(1);
    rig.gateway.setOutage(null);
    rig.clock.advance(2 * minuteMs);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference }]);
  });
});

describe('a transaction that stays pending', () => {
  const sweepLastDay = (rig: Rig) =>
    sweepWindow(rig.scope, { fromMs: rig.clock.now() - dayMs, toMs: rig.clock.now() }, sweepMode(), signal);

  test('is looked up by status from 30 minutes on, and overdue after an hour', async () => {
    await using rig = await rigOf();
    rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(29 * minuteMs) });
    await sweepLastDay(rig);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
    rig.clock.advance(2 * minuteMs);
    await sweepLastDay(rig);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(1);
    const overdue = () => countPendingSince(rig.redis, rig.queue, rig.clock.now() - hourMs);
    expect(await overdue()).toBe(0);
    rig.clock.advance(30 * minuteMs);
    expect(await overdue()).toBe(1);
  });

  test('is injected with source status if it ended without a callback, however old it is by then', async () => {
    await using rig = await rigOf();
    const reference = referenceOf(rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(2 * hourMs) }));
    await sweepLastDay(rig);
    rig.clock.advance(3 * dayMs);
    await rig.gateway.correct(reference, { status: 'failed', errorCode: 'user_timeout' });
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'status', status: 'failed', gatewayReference: reference }]);
  });

  test('gets RECONCILE_GRACE for its callback once it ended', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_GRACE: '5m' } });
    const reference = referenceOf(rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(2 * hourMs) }));
    await sweepLastDay(rig);
    await rig.gateway.correct(reference, { status: 'success' });
    await lookUp(rig);
    expect(await rig.jobs()).toEqual([]);
    rig.clock.advance(5 * minuteMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference: reference }]);
  });

  test('is no longer watched once a sweep saw it end', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_GRACE: '5m' } });
    const reference = referenceOf(rig.gateway.addTransactions({ status: 'pending', createdAt: isoAgo(2 * hourMs) }));
    await sweepLastDay(rig);
    expect(await countPendingSince(rig.redis, rig.queue, rig.clock.now())).toBe(1);
    await rig.gateway.correct(reference, { status: 'success' });
    await sweepLastDay(rig);
    expect(await countPendingSince(rig.redis, rig.queue, rig.clock.now())).toBe(0);
  });

  test('is looked up less and less often, never twice within two minutes', () => {
    let lookUps = 0;
    for (let ageMs = 30 * minuteMs; ageMs < dayMs; ageMs += watchIntervalMs(ageMs)) lookUps += 1;
    expect(lookUps).toBeLessThan(50);
    expect(watchIntervalMs(0)).toBe(2 * minuteMs);
  });
});
