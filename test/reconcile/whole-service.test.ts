// Reconciliation on the whole service: real processes, a real Redis, the gateway's simulator losing callbacks,
// processes killed, Redis replaced.
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { createRedis } from '../../src/redis/connections.ts';
import { readSweepState, writeSweepState } from '../../src/store/reconciliation/sweep-state.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { createGatewaySimulator, simulatorKey, type GatewaySimulatorOptions } from '../../simulator/gateway.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { freePort } from '../support/private-redis.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { isoAgo } from './reconcile-rig.ts';
import { serviceQueue } from '../support/queues.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A Redis, a gateway, a merchant, and the environment that connects them. */
async function world(
  gatewayOptions: GatewaySimulatorOptions = {},
  environment: Readonly<Record<string, string>> = {},
  durable = true,
) {
  const redis = await startRedis({ durable });
  const gateway = createGatewaySimulator({ callbackDelayMs: 20, ...gatewayOptions });
  const merchant = createMerchantSimulator();
  closers.push(
    () => redis.stop(),
    () => gateway.close(),
    () => merchant.close(),
  );
  const env = {
    PAYALO_API_KEYS: simulatorKey,
    REDIS_URL: redis.url,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
    FORWARD_RETRIES: '200ms,200ms,200ms,200ms,200ms,10s',
    RECONCILE_EVERY: '500ms',
    RECONCILE_GRACE: '500ms',
    RECONCILE_LOOKBACK: '4h',
    ...environment,
  };
  const start = async (...roles: string[]) => {
    const service = await startService({ roles, env });
    closers.push(async () => service[Symbol.asyncDispose]());
    return service;
  };
  return { redis, gateway, merchant, env, start };
}

test(
  'with 30 % of callbacks lost and the breaker open, 1,000 transactions all arrive once, although the reconciler is killed',
  { timeout: 180_000 },
  async () => {
    const { gateway, merchant, start } = await world({
      lossProbability: 0.3,
      breaker: { failuresToOpen: 5, openMs: 500 },
    });
    const { url } = await start('receive', 'work');
    const killed = await start('reconcile');
    const dead = `http://127.0.0.1:${await freePort()}/`;
    const common = { callbacks: true, completedAfterMs: 0 } as const;
    gateway.addTransactions({ ...common, count: 50, resultUrl: dead, merchantReferencePrefix: 'dead' });
    await until(() => gateway.breakerState() === 'open');
    gateway.addTransactions({ ...common, count: 450, resultUrl: `${url}/webhooks/payalo` });
    await until(() => gateway.breakerState() !== 'open');
    gateway.addTransactions({
      ...common,
      count: 500,
      resultUrl: `${url}/webhooks/payalo`,
      merchantReferencePrefix: 'b',
    });
    const inject = (logs: readonly Readonly<Record<string, unknown>>[]) =>
      logs.filter(({ event }) => event === 'reconcile.injected').length;
    await until(() => inject(killed.logs) > 50, { timeoutMs: 20_000 });
    killed.kill('SIGKILL');
    await killed.exited;
    const restarted = await start('reconcile');
    await until(() => merchant.uniqueIds().size >= 1_000, { timeoutMs: 30_000 });

    const fates = gateway.transactions().flatMap(({ callbacks }) => callbacks.map(({ outcome }) => outcome));
    expect(fates.filter((fate) => fate === 'lost').length).toBeGreaterThan(200);
    expect(fates.filter((fate) => fate === 'skipped').length).toBeGreaterThan(20);
    expect(inject(restarted.logs)).toBeGreaterThan(50);
    const references = merchant.deliveries().map(({ headers }) => headers['payalo-gateway-reference']);
    expect(references).toHaveLength(1_000);
    expect(new Set(references)).toEqual(new Set(gateway.transactions().map((one) => one.gatewayReference)));
  },
);

/** The limit that `docs/reconciliation.md` states. */
const heapMegabytes = 64;

test(
  `a week of transactions is caught up in windows, within ${heapMegabytes} MB of heap`,
  { timeout: 100_000 },
  async () => {
    const { redis, gateway, env } = await world(
      {},
      { RECONCILE_LOOKBACK: '1h', RECONCILE_GRACE: '5m', RECONCILE_EVERY: '10m' },
      false,
    );
    // Large transactions: all of them in memory would need more than twice the heap.
    const count = 1_500;
    const merchantReferencePrefix = 'x'.repeat(15_000);
    gateway.addTransactions({
      count,
      merchantReferencePrefix,
      createdAt: isoAgo(7 * dayMs - minuteMs),
      everyMs: (7 * dayMs - 60 * minuteMs) / count,
    });
    const target = parseRedisUrl(redis.url);
    if (!('target' in target)) throw new Error('a URL of our own');
    const profile = { kind: 'producer', commandTimeoutMs: 5_000 } as const;
    const connection = createRedis(target.target, profile, 'test', createLog({ level: 'silent' }));
    closers.push(async () => connection.disconnect());
    await until(() => connection.status === 'ready');
    const queue = serviceQueue();
    await connection.set(keysOf.reconciler(queue), 'test');
    await writeSweepState(connection, queue, 'test', { checkpointMs: Date.now() - 7 * dayMs });
    await connection.del(keysOf.reconciler(queue));

    await using service = await startService({
      roles: ['reconcile'],
      env,
      nodeFlags: [`--max-old-space-size=${heapMegabytes}`, '--max-semi-space-size=2'],
    });
    const waiting = () => connection.llen(`${queue.base}:wait`);
    const died = service.exited.then(() => Promise.reject(new Error(service.output())));
    await Promise.race([died, until(async () => (await waiting()) >= count, { timeoutMs: 80_000, everyMs: 100 })]);
    expect(await waiting()).toBe(count);
    await until(async () => ((await readSweepState(connection, queue)).checkpointMs ?? 0) > Date.now() - minuteMs);
    service.kill('SIGTERM');
    expect(await service.exited).toMatchObject({ code: 0 });
  },
);

test('a correction arrives once, and the original that was still being retried never', async () => {
  const { gateway, merchant, start } = await world();
  const service = await start('all');
  let open = false;
  merchant.always(({ headers }) => answer(open || headers['payalo-source'] === 'correction' ? 200 : 500));
  const [transaction] = gateway.addTransactions({
    callbacks: true,
    completedAfterMs: 0,
    resultUrl: `${service.url}/webhooks/payalo`,
  });
  const reference = transaction?.gatewayReference ?? '';
  await until(() => merchant.deliveriesOf(reference).length > 1);
  await gateway.correct(reference, { status: 'failed', errorCode: 'provider_error' });
  const correction = await until(() =>
    merchant.deliveriesOf(reference).find(({ headers }) => headers['payalo-source'] === 'correction'),
  );
  open = true;
  expect(correction.headers['payalo-sequence']).toBe('1');
  expect(correction.body.toString()).toBe(gateway.bodyOf(reference));
  const sweeps = () => service.logs.filter(({ event }) => event === 'reconcile.swept').length;
  const sweptBefore = sweeps();
  await until(() => sweeps() > sweptBefore + 2);
  const delivered = merchant.deliveriesOf(reference).filter(({ answered }) => answered === 200);
  expect(delivered.map(({ headers }) => headers['payalo-source'])).toEqual(['correction']);
});

test('a callback that comes after it was found is a duplicate', async () => {
  const { gateway, merchant, start } = await world();
  const service = await start('all');
  const [transaction] = gateway.addTransactions({ completedAfterMs: 0, resultUrl: `${service.url}/webhooks/payalo` });
  const reference = transaction?.gatewayReference ?? '';
  await until(() => merchant.deliveriesOf(reference).length === 1);
  expect(await gateway.sendCallback(reference)).toMatchObject({ outcome: 'delivered', httpStatus: 200 });
  const view = await fetch(`${service.opsUrl}/v1/callbacks/${reference}`);
  expect(await view.json()).toMatchObject({ state: 'delivered', source: 'records', duplicates: 1 });
  expect(merchant.deliveriesOf(reference)).toHaveLength(1);
});

test('after Redis was replaced by an empty one everything arrives again, under the same webhook-id', async () => {
  const { redis, gateway, merchant, start } = await world();
  const { url } = await start('all');
  gateway.addTransactions({ count: 20, callbacks: true, completedAfterMs: 0, resultUrl: `${url}/webhooks/payalo` });
  await until(() => merchant.uniqueIds().size === 20);
  const before = new Set(merchant.deliveries().map(({ webhookId }) => webhookId));
  const arrived = merchant.deliveries().length;
  await redis.kill('SIGKILL');
  for (const name of await readdir(redis.dir)) await rm(path.join(redis.dir, name), { recursive: true });
  await redis.restart();
  await until(() => merchant.deliveries().length === arrived + 20, { timeoutMs: 20_000 });
  expect(
    new Set(
      merchant
        .deliveries()
        .slice(arrived)
        .map(({ webhookId }) => webhookId),
    ),
  ).toEqual(before);
});

test('a result that changes twice while replicas are missing arrives as three results, each once, without conflicts', async () => {
  const { gateway, merchant, start } = await world({}, { REDIS_WAIT_REPLICAS: '1', ACK_BUDGET: '500ms' });
  const service = await start('all');
  const [transaction] = gateway.addTransactions({
    callbacks: true,
    completedAfterMs: 0,
    resultUrl: `${service.url}/webhooks/payalo`,
  });
  const reference = transaction?.gatewayReference ?? '';
  const isThere = (count: number) => until(() => merchant.deliveriesOf(reference).length >= count);
  await isThere(1);
  await gateway.correct(reference, { status: 'failed', errorCode: 'provider_error' });
  await isThere(2);
  await gateway.correct(reference, { status: 'success' });
  await isThere(3);
  const sweeps = () => service.logs.filter(({ event }) => event === 'reconcile.swept').length;
  const sweptBefore = sweeps();
  await until(() => sweeps() > sweptBefore + 6);
  const sent = merchant.deliveriesOf(reference).map(({ headers }) => headers['payalo-sequence']);
  expect(sent).toEqual(['0', '1', '2']);
  const view = await fetch(`${service.opsUrl}/v1/callbacks/${reference}`);
  expect(await view.json()).toMatchObject({ status: 'success', sequence: 2, duplicates: 0, conflicts: [] });
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text();
  expect(metrics).toMatch(/^payalo_spool_entries 3$/m); // still waiting for a replica
});

test('after Redis was replaced by an empty one, a result that has changed meanwhile has a new webhook-id', async () => {
  const { redis, gateway, merchant, start } = await world();
  const service = await start('all');
  const [transaction] = gateway.addTransactions({
    callbacks: true,
    completedAfterMs: 0,
    resultUrl: `${service.url}/webhooks/payalo`,
  });
  const reference = transaction?.gatewayReference ?? '';
  await until(() => merchant.deliveriesOf(reference).length === 1);
  for (const status of ['failed', 'success'] as const) {
    await redis.kill('SIGKILL');
    for (const name of await readdir(redis.dir)) await rm(path.join(redis.dir, name), { recursive: true });
    await gateway.correct(reference, { status });
    const before = merchant.deliveriesOf(reference).length;
    await redis.restart();
    await until(() => merchant.deliveriesOf(reference).length > before, { timeoutMs: 20_000 });
  }
  const sent = merchant.deliveriesOf(reference).map(({ headers, webhookId, body }) => ({
    sequence: headers['payalo-sequence'],
    webhookId,
    status: String(JSON.parse(body.toString()).status),
  }));
  expect(sent.map(({ status, sequence }) => [status, sequence])).toEqual([
    ['success', '0'],
    ['failed', '0'],
    ['success', '0'],
  ]);
  expect(sent[1]?.webhookId).not.toBe(sent[0]?.webhookId);
  expect(sent[2]?.webhookId).toBe(sent[0]?.webhookId); // the same result again
});
