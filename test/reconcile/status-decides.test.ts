// The list reports success; the status call's result, or its failure, decides what the merchant gets.
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import type { GatewaySimulator } from '../../simulator/gateway.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
type Misbehaviour = Parameters<GatewaySimulator['misbehave']>[1];

const { server: redis } = await withRedis();

const rigOf = () => createRig({ redisUrl: redis.url, environment: { RECONCILE_GRACE: '5m' } });
const sweep = (rig: Rig) =>
  sweepWindow(rig.scope, { fromMs: Date.now() - 5 * hourMs, toMs: Date.now() }, sweepMode(), signal);

function addListed(
  rig: Rig,
  { count = 1, agoMs = 3 * hourMs, completedAfterMs = hourMs } = {},
  how: Misbehaviour = {},
) {
  const added = rig.gateway.addTransactions({ count, createdAt: isoAgo(agoMs), completedAfterMs });
  for (const { gatewayReference } of added) rig.gateway.misbehave(gatewayReference, how);
  return added.map(({ gatewayReference }) => gatewayReference);
}

test.each(['pending', 'reversed', 'in_review', ''])(
  'delivers nothing if the list says success and the status call says %j, however many there are',
  async (status) => {
    await using rig = await rigOf();
    addListed(rig, { count: 130 }, { status: { kind: 'says', status } });
    expect(await sweep(rig)).toMatchObject({
      kind: 'swept',
      counts: { seen: 130, missing: 130, injected: 0, unconfirmed: 130 },
    });
    expect(await rig.jobs()).toEqual([]);
  },
);

test('delivers the status call’s result if the list has another', async () => {
  await using rig = await rigOf();
  addListed(rig, {}, { status: { kind: 'says', status: 'failed', errorCode: 'user_timeout' } });
  await sweep(rig);
  expect(await rig.jobs()).toMatchObject([{ source: 'records', status: 'failed' }]);
});

test('watches a transaction whose status call contradicts the list, and delivers it once it has ended', async () => {
  await using rig = await rigOf();
  const [reference = ''] = addListed(rig, {}, { status: { kind: 'says', status: 'pending' } });
  await sweep(rig);
  rig.clock.advance(2 * minuteMs + 1);
  await lookUp(rig);
  expect(await rig.jobs()).toEqual([]);
  rig.gateway.misbehave(reference, {});
  rig.clock.advance(hourMs);
  await lookUp(rig);
  expect(await rig.jobs()).toMatchObject([{ source: 'status', gatewayReference: reference }]);
  expect(await rig.redis.exists(keysOf.watched(rig.queue), keysOf.watchedDue(rig.queue))).toBe(0);
});

test('delivers no transaction that the status call does not know', async () => {
  await using rig = await rigOf();
  addListed(rig, {}, { status: { kind: 'answer', status: 404 } });
  expect(await sweep(rig)).toMatchObject({ counts: { injected: 0, unconfirmed: 1 } });
  expect(await rig.jobs()).toEqual([]);
});

test.each<[string, Misbehaviour['status']]>([
  ['answers 403', { kind: 'answer', status: 403 }],
  ['answers 500', { kind: 'answer', status: 500 }],
  ['answers rubbish', { kind: 'garbage' }],
  ['breaks off', { kind: 'reset' }],
])(
  'where the status call %s the list is believed, an hour after the completion and no sooner',
  async (_name, status) => {
    await using rig = await rigOf();
    addListed(rig, { agoMs: 2 * hourMs, completedAfterMs: 90 * minuteMs }, { status });
    expect(await sweep(rig)).toMatchObject({ counts: { injected: 0, unconfirmed: 1, errors: 1 } });
    expect(await rig.jobs()).toEqual([]);
    rig.clock.advance(31 * minuteMs);
    expect(await sweep(rig)).toMatchObject({ counts: { injected: 1 } });
  },
);

test('a failing status call is tried once for each transaction, and a few times for the first', async () => {
  await using rig = await rigOf();
  addListed(rig, { count: 300 });
  rig.gateway.setOutage({ kind: 'answer', status: 503, on: 'status' });
  expect(await sweep(rig)).toMatchObject({ kind: 'swept', counts: { missing: 300, injected: 300 } });
  const calls = rig.gateway.calls().status;
  expect(calls).toBeGreaterThanOrEqual(300);
  expect(calls).toBeLessThanOrEqual(350);
});

// Lists may be in either order, so the failing ones come first in one of the two cases.
test.each([-20, 20])(
  'trusts the list for no transaction because others had no answer (those that fail are %i minutes older)',
  async (olderMinutes) => {
    await using rig = await rigOf();
    const broken = { status: { kind: 'answer', status: 500 } } as const;
    addListed(rig, { count: 40, agoMs: 3 * hourMs + olderMinutes * minuteMs, completedAfterMs: minuteMs }, broken);
    const pending = { status: { kind: 'says', status: 'pending' } } as const;
    const odd = addListed(rig, { count: 30, completedAfterMs: minuteMs }, pending);
    expect(await sweep(rig)).toMatchObject({ counts: { missing: 70, injected: 40, unconfirmed: 30 } });
    const delivered = (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
    expect(delivered.filter((reference) => odd.includes(reference))).toEqual([]);
  },
);

test('corrects nothing because of the list alone', async () => {
  await using rig = await rigOf();
  const [reference = ''] = addListed(rig);
  await rig.receive(rig.gateway.bodyOf(reference));
  await rig.gateway.correct(reference, { status: 'failed' });
  for (const status of ['success', 'pending', 'reversed']) {
    rig.gateway.misbehave(reference, { status: { kind: 'says', status } });
    expect(await sweep(rig)).toMatchObject({ counts: { corrections: 0 } });
    rig.clock.advance(hourMs);
  }
  expect(await rig.jobs()).toMatchObject([{ source: 'callback' }]);
});

test('one transaction is looked up at most every two minutes, by sweeps and the watch list together', async () => {
  await using rig = await rigOf();
  addListed(rig, {}, { status: { kind: 'says', status: 'pending' } });
  for (let seconds = 0; seconds < 240; seconds += 20) {
    await sweep(rig);
    await lookUp(rig);
    rig.clock.advance(20_000);
  }
  expect(rig.gateway.calls().status).toBeLessThanOrEqual(2);
});
