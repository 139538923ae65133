// Compares ordered and paid amounts on the real service: registered before or after the callback, singly or in bulk.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const merchant = createMerchantSimulator();
const { server: redis } = await withRedis();
let service: TestService;
beforeAll(async () => {
  const { url } = await merchant.listen();
  service = await startService({ env: { REDIS_URL: redis.url, PAYALO_API_KEYS: testKey, FORWARD_URL: url } });
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await merchant.close();
});

async function call(path: string, body?: unknown) {
  const response = await fetch(service.opsUrl + path, {
    ...(body !== undefined && { method: 'POST', headers: { 'content-type': 'application/json' } }),
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: z.record(z.string(), z.unknown()).parse(await response.json()) };
}

const order = (gatewayReference: string, value: string | number, currency = 'KES') => ({
  gatewayReference,
  amount: { value, currency },
});

async function receive(reference: string): Promise<void> {
  const headers = { 'x-api-key': testKey };
  const body = callbackBody({ reference });
  expect((await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body })).status).toBe(200);
}

async function delivery(reference: string) {
  const sent = () => merchant.deliveries().find(({ headers }) => headers['payalo-gateway-reference'] === reference);
  await until(() => sent() !== undefined);
  return sent();
}

async function mismatches(kind: string): Promise<number> {
  const text = await (await fetch(`${service.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^payalo_amount_mismatches_total\\{kind="${kind}"\\} (\\d+)`, 'm').exec(text)?.[1]);
}

test.each([
  ['match', '100', 'KES'],
  ['match', 100, 'KES'],
  ['short', '100.01', 'KES'],
  ['over', '99.99', 'KES'],
  ['currency', '100.00', 'UGX'],
])('reports %s if %s %s was ordered and 100.00 KES paid, in the delivery, the API and the metric', async (...row) => {
  const [kind, value, currency] = row;
  const reference = newReference();
  const before = kind === 'match' ? 0 : await mismatches(kind);
  expect((await call('/v1/expectations', order(reference, value, currency))).status).toBe(202);
  await receive(reference);
  expect((await delivery(reference))?.headers['payalo-amount-check']).toBe(kind);
  expect((await call(`/v1/callbacks/${reference}`)).json).toMatchObject({ amountCheck: kind });
  const listed = z
    .array(z.looseObject({ gatewayReference: z.string() }))
    .parse((await call(`/v1/callbacks?amountCheck=${kind}`)).json['data']);
  expect(listed.map(({ gatewayReference }) => gatewayReference)).toContain(reference);
  if (kind !== 'match') await until(async () => (await mismatches(kind)) === before + 1);
});

test('is also compared if the callback came first, and counted once', async () => {
  const reference = newReference();
  await receive(reference);
  expect((await delivery(reference))?.headers).not.toHaveProperty('payalo-amount-check');
  await until(async () => (await call(`/v1/callbacks/${reference}`)).json['state'] === 'delivered');
  expect((await call(`/v1/callbacks/${reference}`)).json).toMatchObject({ amountCheck: null });
  const before = await mismatches('short');
  for (const value of ['250.00', '100.00']) await call('/v1/expectations', order(reference, value)); // the first counts
  expect((await call(`/v1/callbacks/${reference}`)).json).toMatchObject({ amountCheck: 'short' });
  expect(await mismatches('short')).toBe(before + 1);
});

test('registers a thousand at once, and none if one is invalid, which it names by its index', async () => {
  const references = Array.from({ length: 1_000 }, () => newReference());
  const [first = '', second = ''] = references;
  const good = references.map((reference) => order(reference, '5'));
  const wrong = [
    order(first, '5'),
    { merchantReference: 'x' },
    order(second, 'ten'),
    { ...order('z', '1'), brand: 'no' },
  ];
  const refused = await call('/v1/expectations', wrong);
  expect(refused.status).toBe(422);
  expect(refused.json['errors']).toMatchObject([{ index: 1 }, { index: 2 }, { index: 3 }]);
  expect((await call('/v1/expectations', [...good, order('one-more', '5')])).status).toBe(422);
  expect((await call('/v1/expectations', [])).status).toBe(422);
  await receive(first);
  expect((await delivery(first))?.headers).not.toHaveProperty('payalo-amount-check');
  expect(await call('/v1/expectations', good)).toEqual({ status: 202, json: { registered: 1_000 } });
  await receive(second);
  expect((await delivery(second))?.headers['payalo-amount-check']).toBe('over');
});

test('refuses an amount that may have lost digits, or is not an amount', async () => {
  for (const value of [1_234_567_890_123_456, '1,000.00', '-5', ''])
    expect((await call('/v1/expectations', order(newReference(), value))).status).toBe(400);
});

test('costs no Redis command if no expectation has an amount', async () => {
  const client = new Redis(redis.url);
  const flag = '{payalo}:payalo-callbacks/expect:amounts';
  expect(await client.del(flag)).toBe(1); // as if it had lapsed
  const lookedFor = async () => {
    const reference = newReference();
    await call('/v1/expectations', { gatewayReference: reference });
    const monitor = await client.monitor();
    const commands: string[] = [];
    monitor.on('monitor', (_time: string, args: string[]) => commands.push(args.join(' ')));
    await receive(reference);
    await delivery(reference);
    await until(() => commands.some((command) => /^hmset /i.test(command)));
    monitor.disconnect();
    return commands.filter((command) => command.includes('/e:'));
  };
  expect(await lookedFor()).toEqual([]);
  await client.set(flag, '1');
  expect(await lookedFor()).toHaveLength(1);
  client.disconnect();
});
