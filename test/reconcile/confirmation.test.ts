// Confirmation: the gateway's answer outranks the API key. A callback counts as true once the gateway has confirmed it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { newReference } from '../support/callbacks.ts';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { erase } from '../../src/store/lifecycle/erase.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { registerExpectedAmount } from '../../src/store/reconciliation/expected-amounts.ts';
import { terminalKind } from '../../src/callback/identity.ts';
import { findClaims } from '../../src/store/callbacks/find-claims.ts';
import { inject } from '../../src/reconcile/inject.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { callbackFrom, createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const after = { CONFIRM: 'after', RECONCILE_GRACE: '5m', RECONCILE_EVERY: '10m' };
const before = { ...after, CONFIRM: 'before', CONFIRM_WAIT: '10m' };

const { server: redis } = await withRedis();

const rigOf = (environment: Readonly<Record<string, string>>) => createRig({ redisUrl: redis.url, environment });

function genuine(rig: Rig, fields: { status?: string; createdAt?: string } = {}) {
  const [added] = rig.gateway.addTransactions({ createdAt: isoAgo(minuteMs), ...fields });
  const reference = added?.gatewayReference ?? '';
  return { reference, body: rig.gateway.bodyOf(reference) };
}

/** A body as the gateway would send it, for a transaction that does not exist. */
function forged(rig: Rig) {
  const { reference, body } = genuine(rig);
  const invented = newReference();
  return { reference: invented, body: body.replace(reference, invented) };
}

const sweep = (rig: Rig) =>
  sweepWindow(rig.scope, { fromMs: rig.clock.now() - 5 * hourMs, toMs: rig.clock.now() + 1 }, sweepMode(), signal);

const indexOf = ({ redis: connection, queue }: Rig) =>
  createCallbackIndex({ redis: connection, queues: new Map([[queue.brand, queue]]) });

async function stateOf(rig: Rig, reference: string) {
  const { state, confirmed, heldReason } = (await indexOf(rig).find(reference))?.callback ?? {};
  return { state, confirmed, ...(heldReason !== null && { heldReason }) };
}

async function counted(rig: Rig) {
  const { values } = await rig.metrics.confirmations.get();
  return Object.fromEntries(
    values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.outcome, value]),
  );
}

const unconfirmed = (rig: Rig) => rig.redis.zcard(keysOf.unconfirmed(rig.queue));

describe('after', () => {
  test('a listed callback is confirmed by the sweep, without a separate call', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = genuine(rig);
    await rig.receive(body);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'no' });
    expect(await unconfirmed(rig)).toBe(1);
    await sweep(rig);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'yes' });
    expect(await unconfirmed(rig)).toBe(0);
    rig.clock.advance(hourMs);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
    expect(await counted(rig)).toEqual({ confirmed: 1 });
  });

  test('the gateway is asked about an unlisted callback once its time is over, and not before', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = genuine(rig);
    await rig.receive(body);
    await lookUp(rig);
    expect(rig.gateway.calls().status).toBe(0);
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
    expect(rig.gateway.calls().status).toBe(1);
  });

  test('a forged callback is denied, logged and listed, and still delivered', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = forged(rig);
    await rig.receive(body);
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued', confirmed: 'denied' });
    expect(await rig.jobs()).toHaveLength(1);
    expect(await counted(rig)).toEqual({ denied: 1 });
    expect(rig.logged('confirmation.denied')).toMatchObject([
      { gatewayReference: reference, held: false, atGateway: null },
    ]);
    const { data } = await indexOf(rig).list({ confirmed: 'denied', limit: 10 });
    expect(data).toMatchObject([{ gatewayReference: reference, confirmed: 'denied', state: 'queued' }]);
  });

  test('a confirmed callback that disappears at the gateway is found by a sweep, and denied once', async () => {
    await using rig = await rigOf({ ...after, RECONCILE_GRACE: '1s', RECONCILE_EVERY: '1s' });
    const [gone, kept] = [genuine(rig), genuine(rig)];
    const slow = genuine(rig, { createdAt: isoAgo(4 * hourMs) }); // no window near its callback lists it
    for (const { body } of [gone, kept, slow]) await rig.receive(body);
    await sweep(rig);
    expect(await counted(rig)).toEqual({ confirmed: 3 });
    rig.gateway.deny(gone.reference);
    rig.clock.advance(3 * hourMs);
    const reconciliation = rig.reconciliation({ windowMs: hourMs, fullEveryMs: 1_000 });
    await reconciliation.start();
    try {
      await until(async () => (await stateOf(rig, gone.reference)).confirmed === 'denied');
      const unlisted = () => rig.logged('reconcile.unlisted');
      const before = unlisted().length;
      await until(() => unlisted().length > before); // the next full sweep
    } finally {
      await reconciliation.stop(5_000);
    }
    for (const { reference } of [kept, slow]) expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
    expect(await counted(rig)).toEqual({ confirmed: 3, denied: 1 });
    expect(
      rig
        .logged('reconcile.unlisted')
        .map(({ callbacks }) => callbacks)
        .slice(0, 2),
    ).toEqual([2, 1]);
    expect(rig.logged('confirmation.denied')).toMatchObject([{ gatewayReference: gone.reference, atGateway: null }]);
  });

  test('the merchant gets the correction of a success that failed at the gateway, once', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = genuine(rig, { status: 'failed', createdAt: isoAgo(3 * hourMs) });
    await rig.receive(body.replace('"status": "failed"', '"status": "success"'));
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', sequence: 1, status: 'failed' }]);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued', confirmed: 'yes' });
    expect(await counted(rig)).toEqual({ differs: 1 });
  });

  test('a forged reversal of a success is denied; a true one is confirmed', async () => {
    await using rig = await rigOf(after);
    const [kept, reversed] = [genuine(rig, { createdAt: isoAgo(hourMs) }), genuine(rig, { createdAt: isoAgo(hourMs) })];
    for (const { body } of [kept, reversed]) {
      await rig.receive(body);
      await rig.receive(body.replace('"status": "success"', '"status": "reversed"'));
    }
    await rig.gateway.correct(reversed.reference, { status: 'reversed' });
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    const others = async (reference: string) => (await indexOf(rig).find(reference))?.others ?? [];
    expect(await others(kept.reference)).toMatchObject([{ status: 'reversed', confirmed: 'denied', state: 'queued' }]);
    expect(await others(reversed.reference)).toMatchObject([{ status: 'reversed', confirmed: 'yes', state: 'queued' }]);
  });

  test('a wrong base URL that answers "unknown" to everything denies nothing', async () => {
    const wrong = createServer((_, response) => response.writeHead(404).end('no such page'));
    await once(wrong.listen(0, '127.0.0.1'), 'listening');
    using _ = { [Symbol.dispose]: () => void wrong.close() };
    const address = wrong.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await using rig = await rigOf({ ...after, GATEWAY_BASE_URL: `http://127.0.0.1:${port}/v1` });
    const { reference, body } = genuine(rig);
    await rig.receive(body);
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued', confirmed: 'no' });
    expect(await counted(rig)).toEqual({ unavailable: 1 });
  });

  test('a gateway that is down denies nothing, and is asked again', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = genuine(rig);
    await rig.receive(body);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status: 503 } });
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued', confirmed: 'no' });
    rig.gateway.misbehave(reference, {});
    rig.clock.advance(hourMs);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
  });

  test('a result that reconciliation found needs no confirmation, and the gateway is never asked', async () => {
    await using rig = await rigOf({ ...after, RECONCILE_GRACE: '0ms' });
    const { reference } = genuine(rig, { createdAt: isoAgo(hourMs) });
    await sweep(rig);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'yes' });
    expect(await unconfirmed(rig)).toBe(0);
  });
});

describe('before', () => {
  test('a callback reaches workers only once the gateway has confirmed it', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    expect(await rig.receive(body)).toMatchObject({ kind: 'queued' });
    expect(await rig.jobs()).toEqual([]);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'no' });
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, source: 'callback' }]);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'yes' });
  });

  test('a forged callback is held, never delivered automatically, and delivered by an operator’s replay', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = forged(rig);
    await rig.receive(body);
    await lookUp(rig);
    expect(await rig.jobs()).toEqual([]);
    expect(await rig.redis.zcard(`${rig.queue.base}:delayed`)).toBe(0);
    const held = await stateOf(rig, reference);
    expect(held).toMatchObject({ state: 'held', confirmed: 'denied' });
    expect(held.heldReason).toMatch(/^denied: /);
    expect((await indexOf(rig).list({ state: 'held', limit: 10 })).data).toHaveLength(1);
    const jobId = (await indexOf(rig).find(reference))?.callback.jobId ?? '';
    expect(await replay(rig.redis, rig.queue, jobId)).toEqual({ kind: 'replayed' });
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference }]);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'denied' });
  });

  test.each([
    [400, 'held'],
    [403, 'queued'],
    [409, 'queued'],
  ])('a status call refused with %i leaves it %s: only a refusal of the reference denies', async (status, state) => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status } });
    await rig.receive(body);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state });
  });

  test('a held one that a later sweep confirms is released automatically, once', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status: 404 } });
    await rig.receive(body);
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'held' });
    await sweep(rig);
    await sweep(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference }]);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'yes' });
    expect(rig.logged('confirmation.released')).toHaveLength(1);
  });

  test('a callback that differs at the gateway is never delivered as received: the gateway’s result is', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    await rig.receive(body.replaceAll('100.00', '900.00'));
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', finalAmount: '100 KES' }]);
    const finding = await indexOf(rig).find(reference);
    expect(finding?.corrected).toMatchObject([{ state: 'superseded' }]);
  });

  test('a success for a pending transaction waits, is asked about again, and is delivered once it is true', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig, { status: 'pending' });
    await rig.receive(body.replace('"status": "pending"', '"status": "success"'));
    await lookUp(rig);
    expect(await rig.jobs()).toEqual([]);
    expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'no' });
    await rig.gateway.correct(reference, { status: 'success' });
    rig.clock.advance(3 * minuteMs);
    await lookUp(rig);
    expect((await rig.jobs()).at(-1)).toMatchObject({ gatewayReference: reference, status: 'success' });
    expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
  });

  test('a success for a transaction in review at the gateway is held', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig, { status: 'pending' });
    await rig.gateway.correct(reference, { status: 'in_review' });
    await rig.receive(body.replace('"status": "pending"', '"status": "success"'));
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({
      state: 'held',
      heldReason: expect.stringMatching(/^differs: /),
    });
    expect(await rig.jobs()).toEqual([]);
  });

  test('a forged reversal of a pending transaction that then succeeds reaches no worker', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig, { status: 'pending' });
    await rig.receive(body.replace('"status": "pending"', '"status": "reversed"'));
    await lookUp(rig);
    await rig.gateway.correct(reference, { status: 'success' });
    await rig.receive(rig.gateway.bodyOf(reference));
    rig.clock.advance(3 * minuteMs);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, status: 'success' }]);
    const others = (await indexOf(rig).find(reference))?.others ?? [];
    expect(others).toMatchObject([
      { status: 'reversed', state: 'held', heldReason: expect.stringMatching(/^differs: /) },
    ]);
  });

  test('many at once are confirmed by the records of the last minutes, in a few calls', async () => {
    await using rig = await rigOf(before);
    const added = rig.gateway.addTransactions({ count: 300, createdAt: isoAgo(minuteMs) });
    for (const { gatewayReference } of added) await rig.receive(rig.gateway.bodyOf(gatewayReference));
    const invented = forged(rig);
    await rig.receive(invented.body);
    await lookUp(rig);
    expect(await rig.jobs()).toHaveLength(300);
    expect(await stateOf(rig, invented.reference)).toMatchObject({ state: 'held' });
    expect(rig.gateway.calls().status).toBeLessThan(5);
  });

  test(
    'a flood of forged callbacks is denied by single calls, however long the records take',
    { timeout: 60_000 },
    async () => {
      await using rig = await rigOf(before);
      rig.gateway.setDelay({ ms: 1_500, on: 'records' });
      const count = 300;
      for (let sent = 0; sent < count; sent += 1) await rig.receive(forged(rig).body);
      const stage = rig.reconciliation();
      await stage.start();
      await until(async () => (await counted(rig))['denied'] === count, { timeoutMs: 50_000 });
      await stage.stop(5_000);
      // At most 16 per listing would be 19 listings.
      expect(rig.gateway.calls().records).toBeLessThan(14);
    },
  );

  test('after switching it off, waiting callbacks are still confirmed', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    await rig.receive(body);
    await lookUp({ scope: { ...rig.scope, confirm: 'off' } });
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference }]);
  });

  test('an erased forgery is gone; if the gateway confirms it later, a sweep injects it', async () => {
    await using rig = await rigOf({ ...before, RECONCILE_GRACE: '0ms' });
    const { reference, body } = genuine(rig);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status: 404 } });
    await rig.receive(body);
    await lookUp(rig);
    expect(await erase(rig.redis, rig.queue, reference)).toEqual({ kind: 'erased' });
    expect((await indexOf(rig).list({ state: 'held', limit: 10 })).data).toEqual([]);
    expect((await indexOf(rig).find(reference))?.callback).toMatchObject({ body: null });
    rig.gateway.misbehave(reference, {});
    rig.clock.advance(3 * minuteMs);
    await sweep(rig);
    expect(await rig.jobs()).toMatchObject([{ gatewayReference: reference, source: 'records' }]);
  });
});

/** What a thief of the key can change in a genuine body besides reference, status and amount. */
const alterations: readonly (readonly [string, (body: string) => string])[] = [
  ['another merchantReference', (body) => body.replace(/"merchantReference": "[^"]*"/, '"merchantReference": "other"')],
  ['another type', (body) => body.replace('"type": "payin"', '"type": "payout"')],
];
const noFinalAmount = (body: string) => body.replace(/"finalAmount":\s*\{[^}]*\}/, '"finalAmount": null');

describe('an altered body, with the right reference and status', () => {
  test.each(alterations)('before: %s: the gateway’s result is delivered instead, once', async (_, alter) => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    const altered = alter(body);
    expect(altered).not.toBe(body);
    await rig.receive(altered);
    await lookUp(rig);
    await rig.receive(body);
    rig.clock.advance(hourMs);
    await lookUp(rig);
    await sweep(rig);
    const jobs = await rig.jobs();
    expect(jobs).toMatchObject([{ source: 'correction', sequence: 1, finalAmount: '100 KES', type: 'payin' }]);
    expect(jobs[0]?.body).toBe(rig.gateway.bodyOf(reference));
    expect((await indexOf(rig).find(reference))?.corrected).toMatchObject([{ state: 'superseded' }]);
    expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
    expect(await unconfirmed(rig)).toBe(0);
  });

  test.each(alterations)(
    'after: %s: no list confirms it, and the merchant gets the correction, once',
    async (_, alter) => {
      await using rig = await rigOf(after);
      const { reference, body } = genuine(rig);
      await rig.receive(alter(body));
      await sweep(rig);
      expect(await stateOf(rig, reference)).toEqual({ state: 'queued', confirmed: 'no' });
      rig.clock.advance(15 * minuteMs + 1);
      await lookUp(rig);
      await sweep(rig);
      await lookUp(rig);
      expect(await rig.jobs()).toMatchObject([
        { source: 'correction', sequence: 1, body: rig.gateway.bodyOf(reference) },
      ]);
      expect(await counted(rig)).toEqual({ differs: 1 });
    },
  );

  test('is corrected once if two reconcilers judged it by the same claim', async () => {
    await using rig = await rigOf(after);
    const { reference, body } = genuine(rig);
    await rig.receive(alterations[0]?.[1](body) ?? '');
    const [claim] = await findClaims(rig.redis, rig.queue, [{ gatewayReference: reference, kind: terminalKind }]);
    if (claim === undefined) throw new Error('There is no claim.');
    const found = { callback: callbackFrom(body), source: 'correction', replaces: claim, isOfAltered: true } as const;
    const injected = [
      await inject(rig.scope, { ...found, requestId: 'one' }),
      await inject(rig.scope, { ...found, requestId: 'two' }),
    ];
    expect(injected).toEqual(['stored', 'overtaken']);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', sequence: 1, requestId: 'one' }]);
  });

  test('is not confirmed by a page of records either, if many are due at once', async () => {
    await using rig = await rigOf(before);
    const added = rig.gateway.addTransactions({ count: 60, createdAt: isoAgo(minuteMs) });
    const [altered = '', ...kept] = added.map(({ gatewayReference }) => gatewayReference);
    for (const reference of kept) await rig.receive(rig.gateway.bodyOf(reference));
    await rig.receive(alterations[0]?.[1](rig.gateway.bodyOf(altered)) ?? '');
    await lookUp(rig);
    const jobs = await rig.jobs();
    expect(jobs).toHaveLength(60);
    expect(jobs.filter(({ source }) => source !== 'callback')).toMatchObject([
      { gatewayReference: altered, source: 'correction', body: rig.gateway.bodyOf(altered) },
    ]);
  });

  test('is not released by a sweep if it was held: the gateway’s result replaces it', async () => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status: 404 } });
    await rig.receive(alterations[0]?.[1](body) ?? '');
    await lookUp(rig);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'held' });
    rig.gateway.misbehave(reference, {});
    rig.clock.advance(3 * minuteMs);
    await sweep(rig);
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', body: rig.gateway.bodyOf(reference) }]);
    expect((await indexOf(rig).list({ state: 'held', limit: 10 })).data).toEqual([]);
  });

  test.each<[string, (body: string) => string]>([
    ['merchantReference', (body) => body.replace(/"merchantReference": "[^"]*"/, '"merchantReference": null')],
    ['type', (body) => body.replace('"type": "payin"', '"type": null')],
    ['final amount', noFinalAmount],
  ])('what names no %s contradicts nothing, and is confirmed', async (_, leaveOut) => {
    await using rig = await rigOf(before);
    const { reference, body } = genuine(rig);
    expect(leaveOut(body)).not.toBe(body);
    await rig.receive(leaveOut(body));
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'callback', body: leaveOut(body) }]);
    expect(await stateOf(rig, reference)).toMatchObject({ confirmed: 'yes' });
  });
});

describe('HOLD_MISMATCHED', () => {
  const expectation = (rig: Rig, gatewayReference: string, value: string, currency = 'KES') =>
    registerExpectedAmount(
      rig.redis,
      rig.queue,
      { gatewayReference, amount: { value, currency } },
      {
        keptMs: hourMs,
        holdMismatched: rig.config.HOLD_MISMATCHED,
      },
    );

  test.each([
    ['100', 'KES', 'queued'],
    ['100.01', 'KES', 'held'],
    ['99', 'KES', 'held'],
    ['100', 'TZS', 'held'],
  ])('ordered %s %s and paid 100.00 KES: %s', async (value, currency, state) => {
    await using rig = await rigOf({ HOLD_MISMATCHED: 'true' });
    const [early, late] = [genuine(rig), genuine(rig)];
    await expectation(rig, early.reference, value, currency);
    await rig.receive(early.body);
    await rig.receive(late.body);
    await expectation(rig, late.reference, value, currency);
    for (const { reference } of [early, late]) expect(await stateOf(rig, reference)).toMatchObject({ state });
    if (state !== 'held') return;
    expect((await stateOf(rig, early.reference)).heldReason).toMatch(/^amount: /);
    await sweep(rig);
    expect(await stateOf(rig, early.reference)).toMatchObject({ state: 'held', confirmed: 'yes' });
  });

  const mismatched = { ...before, HOLD_MISMATCHED: 'true' };

  test.each<[string, (body: string) => string]>([
    ['names what was ordered', (body) => body.replaceAll('"value": 100.00', '"value": 900.00')],
    ['names no final amount', noFinalAmount],
  ])('before: where a forged callback %s, the gateway’s lesser amount is held', async (_, alter) => {
    await using rig = await rigOf(mismatched);
    const { reference, body } = genuine(rig);
    await expectation(rig, reference, '900');
    expect(alter(body)).not.toBe(body);
    await rig.receive(alter(body));
    await lookUp(rig);
    expect(await rig.jobs()).toEqual([]);
    const found = await indexOf(rig).find(reference);
    expect(found?.callback).toMatchObject({ source: 'correction', state: 'held', amountCheck: 'short' });
    expect(found?.callback.heldReason).toMatch(/^amount: short, 100 KES were paid and 900 KES ordered/);
    expect(await replay(rig.redis, rig.queue, found?.callback.jobId ?? '')).toEqual({ kind: 'replayed' });
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', finalAmount: '100 KES' }]);
  });

  test('before: a smaller amount that is ordered late also holds the gateway’s result, if workers have seen nothing before it', async () => {
    await using rig = await rigOf(mismatched);
    const { reference, body } = genuine(rig);
    await rig.receive(body.replaceAll('"value": 100.00', '"value": 900.00'));
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([{ source: 'correction', finalAmount: '100 KES' }]);
    await expectation(rig, reference, '900');
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'held' });
  });

  test('a correction of a callback that a worker has seen is never held: it fixes what the merchant believes', async () => {
    await using rig = await rigOf({ ...mismatched, CONFIRM: 'after' });
    const { reference, body } = genuine(rig);
    await expectation(rig, reference, '900');
    await rig.receive(body.replaceAll('"value": 100.00', '"value": 900.00'));
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const worker = new Worker(rig.queue.name, null, { connection, prefix: rig.queue.prefix });
    const job = await worker.getNextJob('token', { block: false });
    await job?.moveToDelayed(Date.now() + minuteMs, 'token'); // until its next attempt
    await worker.close();
    connection.disconnect();
    expect(job?.data).toMatchObject({ finalAmount: '900 KES' });
    rig.clock.advance(15 * minuteMs + 1);
    await lookUp(rig);
    expect(await rig.jobs()).toContainEqual(expect.objectContaining({ source: 'correction', finalAmount: '100 KES' }));
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued' });
  });

  test('holds no failure, no correction, and nothing while it is off', async () => {
    await using rig = await rigOf({});
    const { reference, body } = genuine(rig);
    await expectation(rig, reference, '7');
    await rig.receive(body);
    expect(await stateOf(rig, reference)).toMatchObject({ state: 'queued' });
  });
});
