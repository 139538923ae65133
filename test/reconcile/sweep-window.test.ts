import { describe, expect, test } from 'vitest';
import { createJobReader } from '../../src/store/callbacks/read-callbacks.ts';
import { createGatewayClient } from '../../src/reconcile/gateway/gateway-client.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { verifyWindow } from '../../src/reconcile/verify.ts';
import type { VerifyEvent } from '../../src/reconcile/verify-event.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, sweepMode, type Rig, type RigOptions } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const hourMs = 3_600_000;
const lastHour = () => ({ fromMs: Date.now() - hourMs, toMs: Date.now() });

const { server: redis } = await withRedis();

const rigOf = (options: Omit<RigOptions, 'redisUrl'> = {}) => createRig({ redisUrl: redis.url, ...options });

describe('a window', () => {
  test('injects missing callbacks, with the bytes of the status reply', async () => {
    await using rig = await rigOf();
    const [transaction] = rig.gateway.addTransactions({ createdAt: isoAgo(600_000), amount: '9007199254740993.10' });
    const body = rig.gateway.bodyOf(transaction?.gatewayReference ?? '');
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 1, missing: 1, injected: 1, errors: 0 } });
    expect(await rig.jobs()).toMatchObject([{ source: 'records', body }]);
    expect(await rig.metrics.registry.getSingleMetricAsString('payalo_reconciliation_missing_total')).toContain(' 1');
  });

  test('makes no status call and injects nothing if everything is known, and counts no duplicate', async () => {
    await using rig = await rigOf();
    const transactions = rig.gateway.addTransactions({ count: 7, createdAt: isoAgo(600_000), everyMs: 1_000 });
    for (const { gatewayReference } of transactions) await rig.receive(rig.gateway.bodyOf(gatewayReference));
    const before = await rig.redis.xlen(`${rig.queue.base}:events`);
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 7, known: 7, missing: 0, injected: 0 } });
    expect(rig.gateway.calls()).toMatchObject({ status: 0, records: 1 });
    expect(await rig.redis.xlen(`${rig.queue.base}:events`)).toBe(before);
  });

  test('follows pages of 3 to the end', async () => {
    await using rig = await rigOf();
    rig.gateway.addTransactions({ count: 10, createdAt: isoAgo(600_000), everyMs: 1_000 });
    const swept = await sweepWindow(rig.scope, lastHour(), sweepMode({ pageSize: 3 }), signal);
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 10, injected: 10 } });
    expect(rig.gateway.calls().records).toBe(4);
    expect(new Set((await rig.jobs()).map(({ gatewayReference }) => gatewayReference)).size).toBe(10);
  });

  test('uses the page’s record if there is no status reply an hour after the completion, every byte kept', async () => {
    await using rig = await rigOf();
    const [transaction] = rig.gateway.addTransactions({
      createdAt: isoAgo(2 * hourMs),
      amount: '12345678901234567.80',
    });
    rig.gateway.setOutage({ kind: 'answer', status: 403, on: 'status' });
    const window = { fromMs: Date.now() - 3 * hourMs, toMs: Date.now() };
    await sweepWindow(rig.scope, window, sweepMode(), signal);
    expect(await rig.jobs()).toMatchObject([{ body: rig.gateway.bodyOf(transaction?.gatewayReference ?? '') }]);
  });

  test('leaves a terminal transaction alone until RECONCILE_GRACE after its completion', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_GRACE: '5m' } });
    rig.gateway.addTransactions({ createdAt: isoAgo(240_000), completedAfterMs: 0 });
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      counts: { early: 1, missing: 0, injected: 0 },
    });
    rig.clock.advance(120_000);
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      counts: { early: 0, missing: 1, injected: 1 },
    });
  });

  test('never injects a pending or otherwise unfinished transaction', async () => {
    await using rig = await rigOf();
    rig.gateway.addTransactions({ createdAt: isoAgo(600_000), status: 'pending', merchantReferencePrefix: 'p' });
    rig.gateway.addTransactions({ createdAt: isoAgo(600_000), status: 'in_review', merchantReferencePrefix: 'r' });
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      counts: { seen: 2, pending: 1, other: 1, injected: 0 },
    });
    expect(await rig.jobs()).toEqual([]);
  });

  test('reports but does not inject transactions created before RECONCILE_SINCE, unless forced', async () => {
    await using rig = await rigOf({ environment: { RECONCILE_SINCE: isoAgo(300_000) } });
    rig.gateway.addTransactions({ createdAt: isoAgo(600_000), merchantReferencePrefix: 'before' });
    rig.gateway.addTransactions({ createdAt: isoAgo(200_000), merchantReferencePrefix: 'after' });
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      counts: { tooOld: 1, missing: 1, injected: 1 },
    });
    expect((await rig.jobs()).map(({ merchantReference }) => merchantReference)).toEqual(['after-1']);
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode({ force: true }), signal)).toMatchObject({
      counts: { tooOld: 0, missing: 1, injected: 1, known: 1 },
    });
  });

  test('does not inject transactions older than DEDUP_TTL: they may have been delivered and their claims expired', async () => {
    await using rig = await rigOf({ environment: { DEDUP_TTL: '30m', RECONCILE_LOOKBACK: '20m' } });
    rig.gateway.addTransactions({ createdAt: isoAgo(1_750_000) });
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      counts: { tooOld: 1, injected: 0 },
    });
  });

  test('corrects a difference once, by the status reply, under the next sequence', async () => {
    await using rig = await rigOf();
    const [transaction] = rig.gateway.addTransactions({ createdAt: isoAgo(600_000) });
    const reference = transaction?.gatewayReference ?? '';
    await rig.receive(rig.gateway.bodyOf(reference));
    await rig.gateway.correct(reference, { status: 'failed', errorCode: 'provider_error' });
    const first = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    const second = await sweepWindow(rig.scope, lastHour(), sweepMode(), signal);
    expect(first).toMatchObject({ counts: { corrections: 1, injected: 0, missing: 0 } });
    expect(second).toMatchObject({ counts: { corrections: 0, known: 1 } });
    // The original was still waiting: it is replaced.
    expect(await rig.jobs()).toMatchObject([
      { source: 'correction', sequence: 1, status: 'failed', body: rig.gateway.bodyOf(reference) },
    ]);
  });

  test('ends as failed if the gateway is down, and injects the rest once it is back', async () => {
    await using rig = await rigOf();
    rig.gateway.addTransactions({ createdAt: isoAgo(600_000) });
    rig.gateway.setOutage({ kind: 'answer', status: 400 });
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({ kind: 'failed' });
    rig.gateway.setOutage(null);
    expect(await sweepWindow(rig.scope, lastHour(), sweepMode(), signal)).toMatchObject({
      kind: 'swept',
      counts: { injected: 1 },
    });
  });
});

describe('a page that exceeds the reply limit', () => {
  /** The rig's brand, with a lower limit for a page of records. */
  function scopeOf(rig: Rig, pageBytesMax: number) {
    const [brand] = rig.config.brands.values();
    if (brand === undefined) throw new Error('the rig has no brand');
    const { GATEWAY_BASE_URL: baseUrl } = rig.config;
    if (baseUrl === undefined) throw new Error('the rig has no gateway');
    const { log } = rig.dependencies;
    return {
      ...rig.scope,
      gateway: createGatewayClient({ brand, baseUrl, egress: { proxies: {} }, log, clock: rig.clock, pageBytesMax }),
    };
  }

  const bytesOf = (rig: Rig, transactions: readonly { gatewayReference: string }[]) =>
    transactions.reduce((sum, { gatewayReference }) => sum + rig.gateway.bodyOf(gatewayReference).length, 0);

  test('is requested again at half the size, at once, until it fits', async () => {
    await using rig = await rigOf();
    const all = rig.gateway.addTransactions({ count: 70, createdAt: isoAgo(600_000), everyMs: 1_000 });
    const scope = scopeOf(rig, Math.ceil(bytesOf(rig, all) / 2)); // holds 20, not 40 and more
    const swept = await sweepWindow(scope, lastHour(), sweepMode({ pageSize: 80 }), signal);
    await scope.gateway.close();
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 70, missing: 70, injected: 70 } });
    expect(await rig.jobs()).toHaveLength(70);
    expect(rig.gateway.calls().records).toBe(1 + 1 + 4); // 80, 40, then four of 20
  });

  test('in the middle of a window loses and duplicates nothing, neither callbacks nor counts', async () => {
    await using rig = await rigOf();
    const small = { count: 40, createdAt: isoAgo(600_000), everyMs: 1_000, merchantReferencePrefix: 's' };
    const large = { ...small, createdAt: isoAgo(300_000), merchantReferencePrefix: 'l'.repeat(240) };
    const first = bytesOf(rig, rig.gateway.addTransactions(small));
    const second = bytesOf(rig, rig.gateway.addTransactions(large));
    const scope = scopeOf(rig, Math.ceil((first + second) / 2));
    const swept = await sweepWindow(scope, lastHour(), sweepMode({ pageSize: 40 }), signal);
    await scope.gateway.close();
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 80, missing: 80, injected: 80, known: 0 } });
    expect(await rig.jobs()).toHaveLength(80);
  });

  test('makes verify report no difference twice', async () => {
    await using rig = await rigOf();
    const small = { count: 40, createdAt: isoAgo(600_000), everyMs: 1_000, merchantReferencePrefix: 's' };
    const large = { ...small, createdAt: isoAgo(300_000), merchantReferencePrefix: 'l'.repeat(240) };
    const first = bytesOf(rig, rig.gateway.addTransactions(small));
    rig.gateway.addTransactions(large);
    const scope = scopeOf(rig, Math.ceil((first * 34) / 40)); // holds the first page of 31, not the second
    const events: VerifyEvent[] = [];
    for await (const event of verifyWindow(scope, createJobReader(rig.redis), lastHour(), signal)) events.push(event);
    await scope.gateway.close();
    expect(events.filter(({ kind }) => kind === 'difference')).toHaveLength(80);
    expect(events.at(-1)).toMatchObject({ kind: 'compared', terminal: 80 });
    expect(rig.gateway.calls().records).toBeGreaterThan(5 + 80 / 16); // it did restart after a page
  });

  test('is halved by time if it is too large even at the smallest size', async () => {
    await using rig = await rigOf();
    const all = rig.gateway.addTransactions({ count: 20, createdAt: isoAgo(600_000), everyMs: 1_000 });
    const scope = scopeOf(rig, Math.ceil(bytesOf(rig, all) / 5));
    const swept = await sweepWindow(scope, lastHour(), sweepMode({ pageSize: 40 }), signal);
    await scope.gateway.close();
    expect(swept).toMatchObject({ kind: 'swept', counts: { seen: 20, injected: 20, known: 0 } });
    expect(await rig.jobs()).toHaveLength(20);
  });
});
