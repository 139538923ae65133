// Confirmation with the real processes: a forged callback never reaches the merchant, a genuine one does, whichever process dies.
import { Queue } from 'bullmq';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { runCli } from '../support/cli.ts';
import { startRedis } from '../support/redis.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const { server: redis } = await withRedis();
const closers: (() => Promise<unknown>)[] = [];
let rigs = 0;

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Rig {
  readonly gateway: ReturnType<typeof createGatewaySimulator>;
  readonly merchant: ReturnType<typeof createMerchantSimulator>;
  readonly env: Readonly<Record<string, string>>;
}

async function rigOf(environment: Readonly<Record<string, string>>): Promise<Rig> {
  rigs += 1;
  const gateway = createGatewaySimulator({ callbackDelayMs: 1 });
  const merchant = createMerchantSimulator();
  closers.push(
    () => gateway.close(),
    () => merchant.close(),
  );
  const env = {
    REDIS_URL: redis.url,
    QUEUE_PREFIX: `{confirm${rigs}}`,
    PAYALO_API_KEYS: simulatorKey,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
    RECONCILE_EVERY: '500ms',
    RECONCILE_GRACE: '500ms',
    ...environment,
  };
  return { gateway, merchant, env };
}

async function start({ env }: Rig, roles: readonly string[] = ['all'], more: Readonly<Record<string, string>> = {}) {
  const service = await startService({ roles, env: { ...env, ...more } });
  closers.push(async () => service[Symbol.asyncDispose]());
  return service;
}

const urlOf = ({ url }: TestService) => `${url}/webhooks/payalo`;
const deliveredTo = ({ merchant }: Rig, reference: string) =>
  merchant.deliveries().filter(({ headers }) => headers['payalo-gateway-reference'] === reference);

async function viewOf({ opsUrl }: TestService, reference: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${opsUrl}/v1/callbacks/${reference}`);
  return { ...JSON.parse(await response.text()) };
}

async function metricOf({ opsUrl }: TestService, line: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((one) => one.startsWith(`${line} `))
      ?.slice(line.length + 1),
  );
}

test('before: of genuine and forged callbacks the genuine ones are delivered, confirmed, and the forged ones held', async () => {
  const rig = await rigOf({ CONFIRM: 'before', CONFIRM_WAIT: '60s' });
  const service = await start(rig);
  const genuine = rig.gateway.addTransactions({ count: 5, resultUrl: urlOf(service), callbacks: true });
  const forged = await Promise.all([1, 2, 3].map(async () => rig.gateway.forge({ resultUrl: urlOf(service) })));
  expect(forged.map(({ httpStatus }) => httpStatus)).toEqual([200, 200, 200]);
  await until(() => rig.merchant.deliveries().length === 5, { timeoutMs: 10_000 });
  const gatewayReference = forged[0]?.gatewayReference ?? '';
  await until(async () => (await viewOf(service, gatewayReference))['state'] === 'held');
  expect(await viewOf(service, gatewayReference)).toMatchObject({
    confirmed: 'denied',
    heldReason: expect.stringMatching(/^denied: /),
  });
  await until(async () => (await metricOf(service, 'payalo_queue_jobs{state="held"}')) === 3);
  expect(await metricOf(service, 'payalo_confirmations_total{outcome="denied"}')).toBe(3);
  expect(await metricOf(service, 'payalo_confirmations_total{outcome="confirmed"}')).toBe(5);
  expect(await metricOf(service, 'payalo_unconfirmed')).toBe(0);
  expect(await metricOf(service, 'payalo_oldest_waiting_seconds')).toBe(0);
  for (const { gatewayReference: reference } of genuine)
    expect(deliveredTo(rig, reference)).toMatchObject([{ headers: { 'payalo-confirmed': 'yes' } }]);
  const listed = await runCli(['inspect', '--state', 'held'], rig.env);
  expect(listed).toMatchObject({ code: 0 });
  expect(listed.out).toContain(gatewayReference);

  const replayed = await fetch(`${service.opsUrl}/v1/callbacks/${gatewayReference}/replay`, { method: 'POST' });
  expect(replayed.status).toBe(202);
  await until(() => deliveredTo(rig, gatewayReference).length === 1);
  expect(deliveredTo(rig, gatewayReference)).toMatchObject([{ headers: { 'payalo-confirmed': 'no' } }]);
  expect(await viewOf(service, gatewayReference)).toMatchObject({ confirmed: 'denied' });
  expect(await (await fetch(`${service.opsUrl}/v1/audit`)).text()).toContain(gatewayReference);
});

test('before: without a reconciler, and with a gateway that is down, a callback is delivered when CONFIRM_WAIT is over', async () => {
  const rig = await rigOf({ CONFIRM: 'before', CONFIRM_WAIT: '1500ms' });
  const service = await start(rig, ['receive', 'work']);
  const sentAtMs = Date.now();
  const [added] = rig.gateway.addTransactions({ resultUrl: urlOf(service), callbacks: true });
  const reference = added?.gatewayReference ?? '';
  await until(() => deliveredTo(rig, reference).length === 1, { timeoutMs: 10_000 });
  expect(Date.now() - sentAtMs).toBeGreaterThanOrEqual(1_400);
  expect(deliveredTo(rig, reference)).toMatchObject([{ headers: { 'payalo-confirmed': 'no' } }]);
  await start(rig, ['reconcile']);
  await until(async () => (await viewOf(service, reference))['confirmed'] === 'yes');
  expect(rig.merchant.deliveries()).toHaveLength(1);
});

test('before: a success for what stays pending is delivered when CONFIRM_WAIT is over, unconfirmed', async () => {
  const rig = await rigOf({ CONFIRM: 'before', CONFIRM_WAIT: '2s' });
  const service = await start(rig);
  const [added] = rig.gateway.addTransactions({ status: 'pending' });
  const reference = added?.gatewayReference ?? '';
  const body = rig.gateway.bodyOf(reference).replace('"status": "pending"', '"status": "success"');
  const sent = await fetch(urlOf(service), { method: 'POST', headers: { 'x-api-key': simulatorKey }, body });
  expect(sent.status).toBe(200);
  expect(await viewOf(service, reference)).toMatchObject({ state: 'queued', confirmed: 'no' });
  await until(() => deliveredTo(rig, reference).length === 1, { timeoutMs: 10_000 });
  expect(deliveredTo(rig, reference)).toMatchObject([{ headers: { 'payalo-confirmed': 'no' } }]);
});

test('before: Redis and the reconciler are killed, two reconcilers run, the mode is switched: each genuine one once, no forged one', async () => {
  const own = await startRedis();
  closers.push(() => own.stop());
  const rig = await rigOf({ REDIS_URL: own.url, CONFIRM: 'before', CONFIRM_WAIT: '60s' });
  const service = await start(rig, ['receive', 'work']);
  const doomed = await start(rig, ['reconcile']);
  await start(rig, ['reconcile']);
  const genuine: string[] = [];
  const forged: string[] = [];
  const send = async () => {
    const added = rig.gateway.addTransactions({ count: 4, resultUrl: urlOf(service), callbacks: true });
    genuine.push(...added.map(({ gatewayReference }) => gatewayReference));
    forged.push((await rig.gateway.forge({ resultUrl: urlOf(service) })).gatewayReference);
    await rig.gateway.idle();
  };
  await send();
  doomed.kill('SIGKILL');
  await send();
  await own.kill('SIGKILL');
  await send();
  await own.restart();
  await send();
  await start(rig, ['reconcile', 'work'], { CONFIRM: 'after' });
  await until(() => genuine.every((reference) => deliveredTo(rig, reference).length > 0), { timeoutMs: 30_000 });
  await until(async () => (await metricOf(service, 'payalo_queue_jobs{state="held"}')) === forged.length, {
    timeoutMs: 30_000,
  });
  expect(rig.merchant.uniqueIds().size).toBe(genuine.length);
  expect(forged.flatMap((reference) => deliveredTo(rig, reference))).toEqual([]);
});

test(
  'before: a gateway that is slow, then limits us, then is down delays genuine ones, and lets no forged one through',
  { timeout: 120_000 },
  async () => {
    const rig = await rigOf({ CONFIRM: 'before', CONFIRM_WAIT: '120s' });
    const service = await start(rig);
    const genuine: string[] = [];
    const forged: string[] = [];
    const send = async () => {
      const added = rig.gateway.addTransactions({ count: 10, resultUrl: urlOf(service), callbacks: true });
      genuine.push(...added.map(({ gatewayReference }) => gatewayReference));
      forged.push((await rig.gateway.forge({ resultUrl: urlOf(service) })).gatewayReference);
      await rig.gateway.idle();
    };
    rig.gateway.setDelay({ ms: 1_000 });
    await send();
    await until(() => rig.merchant.deliveries().length > 0, { timeoutMs: 20_000 });
    rig.gateway.setDelay({ ms: 0 });
    rig.gateway.setStatusLimit(2);
    await send();
    await until(() => rig.gateway.calls().limited > 0);
    rig.gateway.setOutage({ kind: 'answer', status: 503 });
    await send();
    rig.gateway.setOutage(null);
    await until(() => genuine.every((reference) => deliveredTo(rig, reference).length > 0), { timeoutMs: 60_000 });
    rig.gateway.setStatusLimit(null);
    await until(async () => (await metricOf(service, 'payalo_queue_jobs{state="held"}')) === forged.length, {
      timeoutMs: 60_000,
    });
    expect(rig.merchant.deliveries()).toHaveLength(genuine.length);
    const confirmed = rig.merchant.deliveries().map(({ headers }) => headers['payalo-confirmed']);
    expect(new Set(confirmed)).toEqual(new Set(['yes']));
  },
);

test(
  'before, then after, and before again, with callbacks in every state: each genuine one once, only the forged one of after',
  { timeout: 120_000 },
  async () => {
    const rig = await rigOf({ CONFIRM_WAIT: '120s', RETRY_SCHEDULE: '2s,2s,2s,2s,2s,2s' });
    const sent: Record<string, { genuine: string; forged: string }[]> = { before: [], after: [] };
    const send = async (service: TestService, mode: 'before' | 'after') => {
      const [added] = rig.gateway.addTransactions({ resultUrl: urlOf(service), callbacks: true });
      const forged = await rig.gateway.forge({ resultUrl: urlOf(service) });
      await rig.gateway.idle();
      sent[mode]?.push({ genuine: added?.gatewayReference ?? '', forged: forged.gatewayReference });
      return forged.gatewayReference;
    };
    const stateOf = async (service: TestService, reference: string) => (await viewOf(service, reference))['state'];

    const first = await start(rig, ['all'], { CONFIRM: 'before' });
    const held = await send(first, 'before'); // the genuine callback sent with it is delivered
    await until(async () => (await stateOf(first, held)) === 'held');
    rig.merchant.always(answer(503));
    await send(first, 'before');
    const retried = sent['before']?.[1]?.genuine ?? '';
    await until(async () => (await stateOf(first, retried)) === 'retrying');
    rig.gateway.setOutage({ kind: 'answer', status: 503 });
    await send(first, 'before'); // waits for its confirmation
    first.kill('SIGTERM');
    await first.exited;

    const second = await start(rig, ['all'], { CONFIRM: 'after' });
    await send(second, 'after');
    second.kill('SIGTERM');
    await second.exited;

    const third = await start(rig, ['all'], { CONFIRM: 'before' });
    await send(third, 'before');
    rig.merchant.always(answer(200));
    rig.gateway.setOutage(null);
    const all = [...(sent['before'] ?? []), ...(sent['after'] ?? [])];
    await until(() => rig.merchant.uniqueIds().size === all.length + 1, { timeoutMs: 60_000 });
    await until(async () => (await metricOf(third, 'payalo_queue_jobs{state="held"}')) === 4, { timeoutMs: 60_000 });
    for (const { forged } of sent['before'] ?? []) expect(deliveredTo(rig, forged)).toEqual([]);
    for (const { genuine } of all)
      expect(new Set(deliveredTo(rig, genuine).map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  },
);

test('before: callbacks promoted in a dashboard still wait until the gateway has confirmed them', async () => {
  const rig = await rigOf({ CONFIRM: 'before', CONFIRM_WAIT: '60s' });
  const service = await start(rig, ['receive', 'work']);
  const [added] = rig.gateway.addTransactions({ resultUrl: urlOf(service), callbacks: true });
  const { gatewayReference } = await rig.gateway.forge({ resultUrl: urlOf(service) });
  await rig.gateway.idle();
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  closers.push(async () => connection.quit());
  const queue = new Queue('payalo-callbacks', {
    connection,
    prefix: rig.env['QUEUE_PREFIX'] ?? '',
    skipMetasUpdate: true,
  });
  closers.push(async () => queue.close());
  await queue.promoteJobs();
  await until(async () => (await queue.getJobCounts())['delayed'] === 2);
  expect(await viewOf(service, gatewayReference)).toMatchObject({ state: 'queued', confirmed: 'no' });
  await start(rig, ['reconcile']);
  await until(async () => (await viewOf(service, gatewayReference))['state'] === 'held');
  await until(() => rig.merchant.deliveries().length === 1);
  expect(deliveredTo(rig, added?.gatewayReference ?? '')).toHaveLength(1);
});

test('HOLD_MISMATCHED: a mismatched amount is held, counted by its kind, and delivered by an operator', async () => {
  const rig = await rigOf({ HOLD_MISMATCHED: 'true', RECONCILE_GRACE: '1h' });
  const service = await start(rig);
  const [added] = rig.gateway.addTransactions({});
  const reference = added?.gatewayReference ?? '';
  const expected = await fetch(`${service.opsUrl}/v1/expectations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ gatewayReference: reference, amount: { value: '250.00', currency: 'KES' } }),
  });
  expect(expected.status).toBe(202);
  const sent = await fetch(urlOf(service), {
    method: 'POST',
    headers: { 'x-api-key': simulatorKey },
    body: rig.gateway.bodyOf(reference),
  });
  expect(await sent.json()).toEqual({ status: 'ok' });
  expect(await viewOf(service, reference)).toMatchObject({ state: 'held', amountCheck: 'short' });
  expect((await viewOf(service, reference))['heldReason']).toBe('amount: short, 100 KES were paid and 250 KES ordered');
  expect(await metricOf(service, 'payalo_amount_mismatches_total{kind="short"}')).toBe(1);
  await fetch(`${service.opsUrl}/v1/callbacks/${reference}/replay`, { method: 'POST' });
  await until(() => deliveredTo(rig, reference).length === 1);
  expect(deliveredTo(rig, reference)).toMatchObject([{ headers: { 'payalo-amount-check': 'short' } }]);
});

test('after: a forged callback is denied within RECONCILE_GRACE and two RECONCILE_EVERY, listed, counted and notified', async () => {
  const rig = await rigOf({ CONFIRM: 'after' });
  const service = await start(rig);
  const [added] = rig.gateway.addTransactions({ resultUrl: urlOf(service), callbacks: true });
  const { gatewayReference } = await rig.gateway.forge({ resultUrl: urlOf(service) });
  await until(() => rig.merchant.deliveries().length === 2);
  await until(async () => (await viewOf(service, gatewayReference))['confirmed'] === 'denied');
  await until(async () => (await viewOf(service, added?.gatewayReference ?? ''))['confirmed'] === 'yes');
  expect(await viewOf(service, gatewayReference)).toMatchObject({ state: 'delivered' });
  const denied = await (await fetch(`${service.opsUrl}/v1/callbacks?confirmed=denied`)).text();
  expect(JSON.parse(denied)).toMatchObject({ data: [{ gatewayReference }], next: null });
  await until(async () => (await (await fetch(service.opsUrl)).text()).includes('The gateway denies a callback'));
});

test('people are notified, in one message each, of delivered and denied callbacks, of held ones, and of mismatched amounts', async () => {
  const rig = await rigOf({ CONFIRM: 'after', HOLD_MISMATCHED: 'true' });
  const got: Record<string, unknown>[] = [];
  const people = createServer((request, response) => {
    void take(request).finally(() => response.end());
  });
  const take = async (request: IncomingMessage) => got.push({ ...JSON.parse(await text(request)) });
  people.listen(0, '127.0.0.1');
  await once(people, 'listening');
  closers.push(async () => people.close());
  const { port } = z.object({ port: z.number() }).parse(people.address());
  const service = await start(rig, ['all'], { NOTIFY_URL: `http://127.0.0.1:${port}/` });
  const told = (type: string) => got.filter((message) => message['type'] === type);

  const forged = await rig.gateway.forge({ resultUrl: urlOf(service) });
  const [short] = rig.gateway.addTransactions({ amount: '100.00', currency: 'KES' });
  const gatewayReference = short?.gatewayReference ?? '';
  const expectation = { gatewayReference, amount: { value: '120', currency: 'KES' } };
  const registered = await fetch(`${service.opsUrl}/v1/expectations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(expectation),
  });
  expect(registered.status).toBe(202);
  const sent = await fetch(urlOf(service), {
    method: 'POST',
    headers: { 'x-api-key': simulatorKey },
    body: rig.gateway.bodyOf(gatewayReference),
  });
  expect(sent.status).toBe(200);

  const patience = { timeoutMs: 30_000, everyMs: 100 };
  const types = ['callbacks.denied', 'callbacks.held', 'callbacks.mismatched'];
  await until(() => types.every((type) => told(type).length > 0), patience);
  expect(told('callbacks.denied')).toMatchObject([{ count: 1, references: [forged.gatewayReference] }]);
  expect(told('callbacks.held')).toMatchObject([{ count: 1, references: [gatewayReference] }]);
  expect(told('callbacks.mismatched')).toMatchObject([{ count: 1, references: [gatewayReference] }]);
  expect(await viewOf(service, gatewayReference)).toMatchObject({ state: 'held', amountCheck: 'short' });

  await fetch(`${service.opsUrl}/v1/callbacks/${gatewayReference}/replay`, { method: 'POST' });
  await until(() => told('callbacks.held.over').length > 0, patience);
  expect(deliveredTo(rig, gatewayReference)).toMatchObject([{ headers: { 'payalo-amount-check': 'short' } }]);
  expect(await metricOf(service, 'payalo_amount_mismatches_total{kind="short"}')).toBe(1);
});
