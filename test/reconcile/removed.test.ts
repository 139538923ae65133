// Undelivered jobs that are removed from the queue, with the whole service: they are detected, verified and delivered.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import * as z from 'zod';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { startRedis } from '../support/redis.ts';
import { runCli } from '../support/cli.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function world(environment: Readonly<Record<string, string>> = {}) {
  const redis = await startRedis();
  const gateway = createGatewaySimulator({ callbackDelayMs: 1 });
  const merchant = createMerchantSimulator();
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  const bull = new Queue('payalo-callbacks', { connection, prefix: '{payalo}' });
  closers.push(
    () => redis.stop(),
    async () => connection.disconnect(),
    () => bull.close(),
    () => gateway.close(),
    () => merchant.close(),
  );
  const env = {
    PAYALO_API_KEYS: simulatorKey,
    REDIS_URL: redis.url,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
    RECONCILE_EVERY: '500ms',
    RECONCILE_GRACE: '0ms',
    RECONCILE_LOOKBACK: '4h',
    ...environment,
  };
  const start = async (...roles: string[]) => {
    const service = await startService({ roles, env });
    closers.push(async () => service[Symbol.asyncDispose]());
    return service;
  };
  return { redis, gateway, merchant, bull, connection, env, start };
}

type World = Awaited<ReturnType<typeof world>>;

/** Recently ended transactions whose callbacks were received. */
async function received({ gateway, bull }: World, url: string, count: number): Promise<string[]> {
  const before = await bull.getJobCountByTypes('wait', 'active', 'delayed', 'completed', 'failed');
  const added = gateway.addTransactions({
    count,
    callbacks: true,
    completedAfterMs: 0,
    resultUrl: `${url}/webhooks/payalo`,
    merchantReferencePrefix: `m${before}-`,
  });
  const present = async () => bull.getJobCountByTypes('wait', 'active', 'delayed', 'completed', 'failed');
  await until(async () => (await present()) === before + count);
  return added.map(({ gatewayReference }) => gatewayReference);
}

const json = z.record(z.string(), z.unknown());
const get = async (url: string) => json.parse(await (await fetch(url)).json());
const read = (opsUrl: string, reference: string) => get(`${opsUrl}/v1/callbacks/${reference}`);

/** Resolves once `count` more sweeps have ended. */
async function sweeps(opsUrl: string, count: number): Promise<void> {
  const done = async () => z.array(z.unknown()).parse((await get(`${opsUrl}/v1/reconciliation`))['sweeps']).length;
  const before = await done();
  await until(async () => (await done()) >= before + count, { timeoutMs: 30_000 });
}

async function run(env: Readonly<Record<string, string>>, ...args: string[]) {
  const { code, out } = await runCli(args, env);
  return { code, stdout: out };
}

const referencesOf = ({ merchant }: World) =>
  merchant.deliveries().map(({ headers }) => String(headers['payalo-gateway-reference']));

test(
  'drained callbacks are `removed`, fail verify by name, and each sweep delivers them once, under their webhook-ids',
  { timeout: 90_000 },
  async () => {
    const w = await world();
    const { url, opsUrl } = await w.start('receive');
    const [kept = '', ...drained] = await received(w, url, 3);
    const [job] = (await w.bull.getJobs('wait')).toReversed();
    const before = await read(opsUrl, drained[0] ?? '');
    await w.bull.drain();
    expect(job).toBeDefined();
    for (const reference of [kept, ...drained]) {
      expect(await read(opsUrl, reference)).toMatchObject({ state: 'removed', deliveredAt: null });
    }
    const replayed = await fetch(`${opsUrl}/v1/callbacks/${kept}/replay`, { method: 'POST' });
    expect(replayed.status).toBe(410);
    expect(await replayed.text()).toContain('sweep');

    const proof = await run(w.env, 'verify', '--from', '1h');
    expect(proof.code).toBe(1);
    for (const reference of drained) expect(proof.stdout).toContain(`${reference} (`);
    expect(proof.stdout).toContain('removed');

    // Removed a second time before a worker starts, this time by hand.
    const byHand = await run(w.env, '--json', 'reconcile', '--from', '1h');
    expect(JSON.parse(byHand.stdout)).toMatchObject({ total: { seen: 3, missing: 3, injected: 3 } });
    await w.bull.drain();

    await w.start('work', 'reconcile');
    await until(() => w.merchant.deliveries().length >= 3, { timeoutMs: 30_000 });
    await until(async () => (await run(w.env, 'verify', '--from', '1h')).code === 0, { timeoutMs: 20_000 });
    expect(referencesOf(w).toSorted()).toEqual([kept, ...drained].toSorted());
    expect([...w.merchant.uniqueIds()]).toContain(before['webhookId']);
  },
);

test(
  'a delivered callback stays delivered whatever happens to its job, and is never delivered again',
  { timeout: 90_000 },
  async () => {
    const w = await world();
    const { url, opsUrl } = await w.start('receive', 'work', 'reconcile');
    const references = await received(w, url, 5);
    await until(() => w.merchant.deliveries().length === 5);
    await until(async () => (await w.bull.getCompletedCount()) === 5);
    await w.bull.pause();
    await w.bull.obliterate({ force: true });
    await w.bull.resume();
    await sweeps(opsUrl, 12);
    for (const reference of references) expect(await read(opsUrl, reference)).toMatchObject({ state: 'delivered' });
    expect(w.merchant.deliveries()).toHaveLength(5);
  },
);

test('a callback whose job is removed while it is being delivered is delivered once', { timeout: 90_000 }, async () => {
  const held: ServerResponse[] = [];
  const merchant = createServer((_request, response) => void held.push(response)).listen(0, '127.0.0.1');
  await once(merchant, 'listening');
  closers.push(async () => merchant.close());
  const { port } = z.object({ port: z.number() }).parse(merchant.address());
  const w = await world({ FORWARD_URL: `http://127.0.0.1:${port}/`, FORWARD_TIMEOUT: '60s' });
  const { url, opsUrl } = await w.start('receive', 'work', 'reconcile');
  const [reference = ''] = await received(w, url, 1);
  await until(() => held.length === 1);
  await w.bull.pause();
  await w.bull.obliterate({ force: true });
  await w.bull.resume();
  await sweeps(opsUrl, 12);
  expect(await read(opsUrl, reference)).toMatchObject({ state: 'delivering' });
  held[0]?.end();
  await until(async () => (await read(opsUrl, reference))['state'] === 'delivered');
  await sweeps(opsUrl, 3);
  expect(held).toHaveLength(1);
});

test(
  'a callback that the merchant’s own worker completed and removed at once is not delivered again',
  { timeout: 90_000 },
  async () => {
    const w = await world({ FORWARD_URL: '' });
    const { url, opsUrl } = await w.start('receive', 'reconcile');
    const handled: string[] = [];
    const own = new Redis(w.redis.url, { maxRetriesPerRequest: null });
    const references = await received(w, url, 5);
    const worker = new Worker('payalo-callbacks', async (job) => void handled.push(job.data.gatewayReference), {
      connection: own,
      prefix: '{payalo}',
      removeOnComplete: { count: 0 },
    });
    closers.push(async () => {
      await worker.close(true);
      own.disconnect();
    });
    await until(() => handled.length === 5);
    await sweeps(opsUrl, 12);
    for (const reference of references) expect(await read(opsUrl, reference)).toMatchObject({ state: 'delivered' });
    expect(handled.toSorted()).toEqual(references.toSorted());
    expect((await run({ ...w.env, FORWARD_URL: '' }, 'verify', '--from', '1h')).code).toBe(0);
  },
);

test(
  'a job whose content is gone while its id still waits (a Redis that evicts, a key deleted by hand) is `removed`, listed, and found by the sweep',
  { timeout: 90_000 },
  async () => {
    const w = await world();
    const { url, opsUrl } = await w.start('receive');
    const references = await received(w, url, 3);
    const ids = await w.connection.lrange('{payalo}:payalo-callbacks:wait', 0, -1);
    await w.connection.del(ids.map((id) => `{payalo}:payalo-callbacks:${id}`));
    for (const reference of references) expect(await read(opsUrl, reference)).toMatchObject({ state: 'removed' });
    const worker = await w.start('work');
    const removed = async () => z.array(json).parse((await get(`${opsUrl}/v1/callbacks?state=removed`))['data']);
    const missing = () => worker.logs.filter(({ event }) => event === 'delivery.content_missing');
    await until(() => missing().length === 3, { timeoutMs: 20_000 });
    await until(async () => (await removed()).length === 3, { timeoutMs: 20_000 });
    expect(await w.bull.getFailedCount()).toBe(0);
    await w.start('reconcile');
    await until(() => w.merchant.deliveries().length >= 3, { timeoutMs: 30_000 });
    await sweeps(opsUrl, 3);
    expect(referencesOf(w).toSorted()).toEqual(references.toSorted());
    expect(await removed()).toEqual([]);
  },
);
