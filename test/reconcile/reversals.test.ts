// A reversal is delivered exactly once, in the form of its callback, whether or not that callback arrives.
import { afterEach, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { simulatorKey } from '../../simulator/gateway.ts';
import { webhookIdOfJob } from '../../src/callback/job.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo, lookUp, sweepMode, type Rig } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const { server: redis } = await withRedis();

const sweep = (rig: Rig) =>
  sweepWindow(rig.scope, { fromMs: rig.clock.now() - 5 * hourMs, toMs: rig.clock.now() + 1 }, sweepMode(), signal);

/** A transaction received as success whose status at the gateway has since changed. */
async function reversed(environment: Readonly<Record<string, string>> = {}, status = 'reversed') {
  const rig = await createRig({ redisUrl: redis.url, environment });
  const [added] = rig.gateway.addTransactions({ createdAt: isoAgo(2 * hourMs) });
  const reference = added?.gatewayReference ?? '';
  await rig.receive(rig.gateway.bodyOf(reference));
  await rig.gateway.correct(reference, { status });
  return { rig, reference };
}

test.each(['reversed', 'charged_back', 'in_review'])(
  'success here and %s at the gateway is delivered once, as a separate kind',
  async (status) => {
    const { rig, reference } = await reversed({}, status);
    await using _ = rig;
    expect(await sweep(rig)).toMatchObject({ counts: { reversed: 1, injected: 1, other: 0 } });
    rig.clock.advance(hourMs);
    expect(await sweep(rig)).toMatchObject({ counts: { reversed: 0, injected: 0, other: 1 } });
    await lookUp(rig);
    expect(await rig.jobs()).toMatchObject([
      { source: 'callback', status: 'success' },
      { source: 'records', status, gatewayReference: reference, body: rig.gateway.bodyOf(reference) },
    ]);
  },
);

test('if its callback comes after all, it is a duplicate with the same webhook-id', async () => {
  const { rig, reference } = await reversed();
  await using _ = rig;
  await sweep(rig);
  const [, told] = await rig.jobs();
  expect(await rig.receive(rig.gateway.bodyOf(reference))).toMatchObject({ kind: 'duplicate' });
  await using other = await createRig({ redisUrl: redis.url });
  await other.receive(rig.gateway.bodyOf(reference));
  const [called] = await other.jobs();
  expect(told && webhookIdOfJob(told)).toBe(called && webhookIdOfJob(called));
});

test('one whose callback came is never looked up', async () => {
  const { rig, reference } = await reversed();
  await using _ = rig;
  await rig.receive(rig.gateway.bodyOf(reference));
  expect(await sweep(rig)).toMatchObject({ counts: { reversed: 0, other: 1 } });
  expect(rig.gateway.calls().status).toBe(0);
});

test('its callback has RECONCILE_GRACE to come, from the time at which it was first seen', async () => {
  const { rig } = await reversed({ RECONCILE_GRACE: '5m' });
  await using _ = rig;
  expect(await sweep(rig)).toMatchObject({ counts: { early: 1, reversed: 0 } });
  expect(await rig.jobs()).toHaveLength(1);
  rig.clock.advance(5 * minuteMs + 1);
  await lookUp(rig);
  expect(await rig.jobs()).toMatchObject([{}, { source: 'status', status: 'reversed' }]);
});

test('a reversal that only the list reports, or that no status call confirms, reverses nothing, however old', async () => {
  const { rig, reference } = await reversed();
  await using _ = rig;
  rig.gateway.misbehave(reference, { status: { kind: 'answer', status: 503 } });
  expect(await sweep(rig)).toMatchObject({ counts: { reversed: 1, injected: 0, unconfirmed: 1 } });
  rig.clock.advance(2 * hourMs);
  rig.gateway.misbehave(reference, { status: { kind: 'says', status: 'success' } });
  expect(await sweep(rig)).toMatchObject({ counts: { reversed: 1, injected: 0 } });
  rig.clock.advance(2 * minuteMs + 1);
  rig.gateway.misbehave(reference, { status: { kind: 'says', status: 'pending' } });
  expect(await sweep(rig)).toMatchObject({ counts: { reversed: 1, injected: 0 } });
  expect(await rig.jobs()).toHaveLength(1);
});

test('one that never came as success, or came as failed, is only watched', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const [unknown, failed] = rig.gateway.addTransactions({ count: 2, status: 'failed', createdAt: isoAgo(hourMs) });
  await rig.receive(rig.gateway.bodyOf(failed?.gatewayReference ?? ''));
  await rig.gateway.reverse(unknown?.gatewayReference ?? '');
  await rig.gateway.reverse(failed?.gatewayReference ?? '');
  expect(await sweep(rig)).toMatchObject({ counts: { reversed: 0, other: 2 } });
  expect(await rig.jobs()).toHaveLength(1);
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

test(
  'with real processes: each reversal reaches the merchant once, whether its callback came, was lost, or came after the sweep; verify and the API name them',
  { timeout: 60_000 },
  async () => {
    const rig = await createRig({ redisUrl: redis.url });
    const merchant = createMerchantSimulator();
    closers.push(
      () => rig.close(),
      () => merchant.close(),
    );
    const env = {
      REDIS_URL: redis.url,
      QUEUE_PREFIX: rig.config.QUEUE_PREFIX,
      PAYALO_API_KEYS: simulatorKey,
      GATEWAY_BASE_URL: rig.config.GATEWAY_BASE_URL ?? '',
      FORWARD_URL: (await merchant.listen()).url,
      RECONCILE_EVERY: '500ms',
      RECONCILE_GRACE: '500ms',
    };
    const service = await startService({ roles: ['receive', 'work'], env });
    closers.push(async () => service[Symbol.asyncDispose]());
    const resultUrl = `${service.url}/webhooks/payalo`;
    const added = rig.gateway.addTransactions({ count: 3, resultUrl, callbacks: true, createdAt: isoAgo(minuteMs) });
    const [called = '', lost = '', late = ''] = added.map(({ gatewayReference }) => gatewayReference);
    await until(() => merchant.deliveries().length === 3);
    await rig.gateway.reverse(called, { callback: true });
    await rig.gateway.reverse(lost);
    await rig.gateway.reverse(late);
    await until(() => merchant.deliveries().length === 4);

    const period = ['verify', '--from', isoAgo(2 * minuteMs)];
    const differing = await runCli(period, env);
    expect(differing.code).toBe(1);
    expect(differing.out).toContain(`default ${lost} (bulk-1): reversed 100KES at the gateway, received as success`);
    expect(differing.out).not.toContain(called);

    const reconciler = await startService({ roles: ['reconcile'], env });
    closers.push(async () => reconciler[Symbol.asyncDispose]());
    await until(() => merchant.deliveries().length === 6, { timeoutMs: 30_000 });
    await rig.gateway.sendCallback(late);
    expect(rig.gateway.transaction(late)?.callbacks.at(-1)).toMatchObject({ outcome: 'delivered', httpStatus: 200 });
    expect((await runCli(period, env)).code).toBe(0);
    const told = merchant.deliveries().filter(({ body }) => body.includes('"reversed"'));
    expect(told.map(({ headers }) => headers['payalo-gateway-reference']).sort()).toEqual([called, lost, late].sort());
    expect(merchant.uniqueIds().size).toBe(6);
    const found = await (await fetch(`${reconciler.opsUrl}/v1/callbacks/${lost}`)).text();
    expect(JSON.parse(found)).toMatchObject({ status: 'success', others: [{ status: 'reversed', source: 'records' }] });
  },
);
