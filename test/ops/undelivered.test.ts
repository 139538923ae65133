// Undelivered callbacks are visible in the metrics, on the console's first page and in the overview.
import { afterEach, expect, test } from 'vitest';
import * as z from 'zod';
import { brandQueue, keysOf } from '../../src/redis/brand-queue.ts';
import { oldestUndelivered } from '../../src/store/callbacks/oldest-undelivered.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { createStoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const hourMs = 3_600_000;

const { server: redis, redis: client } = await withRedis();

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

let prefixes = 0;

async function world(environment: Readonly<Record<string, string>> = {}) {
  const merchant = createMerchantSimulator();
  closers.push(() => merchant.close());
  prefixes += 1;
  const env = {
    REDIS_URL: redis.url,
    QUEUE_PREFIX: `{undelivered${process.pid}.${prefixes}}`,
    PAYALO_API_KEYS: testKey,
    FORWARD_URL: (await merchant.listen()).url,
    FORWARD_RETRIES: '1h',
    ...environment,
  };
  const queue = brandQueue('default', { QUEUE_NAME: 'payalo-callbacks', QUEUE_PREFIX: env.QUEUE_PREFIX });
  const start = async (...roles: string[]) => {
    const service = await startService({ roles, env });
    closers.push(async () => service[Symbol.asyncDispose]());
    return service;
  };
  return { merchant, queue, start };
}

async function receive({ url }: TestService, key = testKey): Promise<string> {
  const reference = newReference();
  const headers = { 'x-api-key': key };
  const body = callbackBody({ reference });
  const { status } = await fetch(`${url}/webhooks/payalo`, { method: 'POST', headers, body });
  expect(status).toBe(200);
  return reference;
}

async function gauge({ opsUrl }: TestService, name: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

const undelivered = (service: TestService) => gauge(service, 'payalo_oldest_undelivered_seconds');

/** Makes every callback older by `ms`. */
async function backdate(base: string, ms: number): Promise<void> {
  for (const key of await client.keys(`${base}:*.*`)) {
    if ((await client.type(key)) === 'hash') await client.hset(key, 'timestamp', Date.now() - ms);
  }
}

const page = async ({ opsUrl }: TestService) =>
  (await (await fetch(`${opsUrl}/`)).text()).replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');

const stateOf = async ({ opsUrl }: TestService, reference: string) =>
  z.looseObject({ state: z.string() }).parse(await (await fetch(`${opsUrl}/v1/callbacks/${reference}`)).json()).state;

test('a merchant that answers 404 to everything shows, from every process and on the first page', async () => {
  const { merchant, queue, start } = await world();
  merchant.always(answer(404));
  const receiver = await start('receive');
  const worker = await start('work');
  const reference = await receive(receiver);
  await until(async () => (await stateOf(receiver, reference)) === 'retrying');
  await backdate(queue.base, 3 * hourMs);
  for (const service of [receiver, worker]) {
    const seconds = await until(async () => ((await undelivered(service)) > 10_000 ? undelivered(service) : 0));
    expect(seconds).toBeGreaterThanOrEqual(10_800);
    expect(seconds).toBeLessThan(10_860);
    expect(await gauge(service, 'payalo_oldest_waiting_seconds')).toBe(0);
  }
  await until(async () => (await page(receiver)).includes('Nothing was delivered to the merchant'));
  expect(await page(receiver)).toContain('1 callback');

  merchant.always(answer(200));
  await fetch(`${receiver.opsUrl}/v1/callbacks/${reference}/replay`, { method: 'POST' });
  await until(async () => (await undelivered(receiver)) === 0);
  await until(async () => !(await page(receiver)).includes('Nothing was delivered'));
});

test('a replay counts from the replay, so that a bulk replay of old ones raises no alarm', async () => {
  const { merchant, queue, start } = await world();
  const service = await start('receive', 'work');
  const reference = await receive(service);
  await until(async () => (await stateOf(service, reference)) === 'delivered');
  await backdate(queue.base, 100 * hourMs);
  merchant.always(answer(404));
  await fetch(`${service.opsUrl}/v1/callbacks/${reference}/replay`, { method: 'POST' });
  await until(async () => (await stateOf(service, reference)) === 'retrying');
  const seconds = await until(() => undelivered(service));
  expect(seconds).toBeLessThan(60);
});

test('a pause for hours, and a merchant’s own worker that never starts, show as well', async () => {
  const { queue, start } = await world({ FORWARD_URL: '' });
  const service = await start('receive');
  await receive(service);
  await backdate(queue.base, 2 * hourMs);
  await until(async () => (await undelivered(service)) > 7_000);
  await until(async () => /Nothing was delivered to the merchant .*Is a worker running/.test(await page(service)));
  await fetch(`${service.opsUrl}/v1/forwarding/pause`, { method: 'POST' });
  await until(async () => (await page(service)).includes('Deliveries are paused'));
  expect(await page(service)).toContain('Nothing was delivered to the merchant');
  const overview = await (await fetch(`${service.opsUrl}/v1/overview`)).json();
  expect(overview).toMatchObject({ forwarding: [{ brand: 'default', undelivered: 1, lastDelivered: null }] });
});

test('of several brands, the one to which nothing was delivered is named', async () => {
  const keys = 'acme=acme-key-0123456789,beta=beta-key-0123456789';
  const { merchant, start } = await world();
  const { url } = await merchant.listen();
  const brands = { PAYALO_API_KEYS: keys, FORWARD_URL: `acme=${url},betta=${url}` };
  const other = await world(brands);
  const service = await other.start('all');
  const notices = service.logs.filter(({ event }) => event === 'service.notice').map(({ notice }) => String(notice));
  expect(notices.some((notice) => notice.includes('FORWARD_URL') && notice.includes('beta:'))).toBe(true);
  expect(notices.some((notice) => notice.includes('betta') && notice.includes('PAYALO_API_KEYS'))).toBe(true);
  expect(await page(service)).toContain('betta');

  await receive(service, 'acme-key-0123456789');
  await receive(service, 'beta-key-0123456789');
  const { queue } = other;
  const beta = brandQueue('beta', queue.naming);
  await until(async () => (await client.llen(`${beta.base}:wait`)) === 1);
  await backdate(beta.base, 2 * hourMs);
  await until(async () => (await page(service)).includes('Nothing was delivered to beta'));
  expect(await page(service)).not.toContain('Nothing was delivered to acme');
  void start;
});

test('removed callbacks are counted and named on the first page', async () => {
  const { queue, start } = await world({ FORWARD_URL: '' });
  const service = await start('receive');
  await receive(service);
  await client.del(`${queue.base}:wait`);
  for (const key of await client.keys(`${queue.base}:*.*`)) await client.del(key);
  await until(
    async () => (await gauge(service, 'payalo_queue_jobs{state="removed"}'.replaceAll(/[{}]/g, '\\$&'))) === 1,
  );
  await until(async () => (await page(service)).includes('removed from the queue'));
});

test('the oldest of thousands is found, wherever it waits, and other programs’ times do no harm', async () => {
  const stored = createStoredCallbacks(redis.url);
  closers.push(async () => stored[Symbol.asyncDispose]());
  const oldest = async () => oldestUndelivered(stored.redis, stored.queue, Date.now());
  expect(await oldest()).toBeUndefined();
  const sinceMs = Date.now() - hourMs;
  await stored.store({ receivedAtMs: sinceMs });
  await stored.retryLater(Date.now() + 50 * hourMs);
  for (let index = 0; index < 1_500; index += 1) await stored.store({ receivedAtMs: sinceMs + 1 + index });
  expect(await oldest()).toBe(sinceMs);
  for (let index = 0; index < 1_200; index += 1) await stored.retryLater(Date.now() + index);
  expect(await oldest()).toBe(sinceMs);
  // Another program's job, with a time in nanoseconds.
  await stored.redis.hset(keysOf.job(stored.queue, 'other'), 'data', '{}', 'timestamp', '1764000000000000000');
  await stored.redis.lpush(`${stored.queue.base}:wait`, 'other');
  expect(await oldest()).toBe(sinceMs);
});
