// Renames a brand: the service as processes, a real Redis, and the simulated gateway and merchant.
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { runCli, startCli } from '../support/cli.ts';
import { failuresOf, startLoad } from '../support/load.ts';
import { startRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const otherKey = 'another-key-0123456789';
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A Redis, a gateway and a merchant, under the brand `default` or as `acme` beside `beta`. */
async function world(environment: Readonly<Record<string, string>> = {}) {
  const redis = await startRedis();
  const gateway = createGatewaySimulator({ callbackDelayMs: 20 });
  const merchant = createMerchantSimulator();
  closers.push(
    () => redis.stop(),
    () => gateway.close(),
    () => merchant.close(),
  );
  const common = {
    REDIS_URL: redis.url,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
    FORWARD_RETRIES: Array(20).fill('2s').join(','),
    SHUTDOWN_TIMEOUT: '1s',
    RECONCILE_EVERY: '300ms',
    RECONCILE_GRACE: '300ms',
    RECONCILE_LOOKBACK: '4h',
    ...environment,
  };
  const before = { ...common, PAYALO_API_KEYS: simulatorKey };
  const after = { ...common, PAYALO_API_KEYS: `acme=${simulatorKey},beta=${otherKey}` };
  const start = async (env: Readonly<Record<string, string>>, ...roles: string[]) => {
    const service = await startService({ roles: roles.length === 0 ? ['all'] : roles, env });
    closers.push(async () => service[Symbol.asyncDispose]());
    return service;
  };
  return { redis, gateway, merchant, before, after, start };
}

async function send({ url }: Pick<TestService, 'url'>, body: string, key = simulatorKey): Promise<string> {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const response = await fetch(`${url}/webhooks/payalo`, { method: 'POST', headers, body });
  return `${response.status} ${await response.text()}`;
}

async function ask({ opsUrl }: Pick<TestService, 'opsUrl'>, path: string, init: RequestInit = {}) {
  const response = await fetch(`${opsUrl}/v1/${path}`, init);
  return { status: response.status, json: JSON.parse((await response.text()) || 'null') };
}

const swept = (service: TestService) => service.logs.filter(({ event }) => event === 'reconcile.swept').length;

describe('naming a brand that had no name', () => {
  test('is refused at start until `brand move` has moved everything; then nothing is delivered again, and ids are unchanged', async () => {
    const { gateway, merchant, before, after, start } = await world();
    const old = await start(before);
    gateway.addTransactions({
      callbacks: true,
      completedAfterMs: 0,
      count: 20,
      resultUrl: `${old.url}/webhooks/payalo`,
    });
    await until(() => merchant.uniqueIds().size === 20);
    const delivered = merchant.deliveries().map(({ headers }) => String(headers['payalo-gateway-reference']));

    merchant.always(answer(500));
    const waiting = [newReference(), newReference()];
    for (const reference of waiting) expect(await send(old, callbackBody({ reference }))).toBe('200 {"status":"ok"}');
    const [first = '', second = ''] = waiting;
    await until(() => waiting.every((reference) => merchant.deliveriesOf(reference).length > 0));
    const refused = await send(old, 'no JSON');
    expect(refused).toContain('400');
    const idOf = (reference: string) => merchant.deliveriesOf(reference)[0]?.webhookId;
    const ids = new Map([...delivered, ...waiting].map((reference) => [reference, idOf(reference)]));
    await old.stop();

    const early = startService({ env: after });
    await expect(early).rejects.toMatchObject({
      exitCode: 78,
      output: expect.stringMatching(
        /^PAYALO_API_KEYS: .*default.*belongs to acme now: run `payalo-receiver brand move default acme`;.*$/m,
      ),
    });

    const moved = await runCli(['brand', 'move', 'default', 'acme'], after);
    expect(moved).toMatchObject({ code: 0, err: '' });
    expect(moved.out).toContain('22 callbacks');

    merchant.always(answer(200));
    const before20 = merchant.deliveries().length;
    const named = await start(after);
    await until(() =>
      waiting.every((reference) => merchant.deliveriesOf(reference).some(({ answered }) => answered === 200)),
    );
    await until(() => swept(named) >= 4, { describe: 'several sweeps' });
    for (const [reference, id] of ids) {
      expect(new Set(merchant.deliveriesOf(reference).map(({ webhookId }) => webhookId))).toEqual(new Set([id]));
    }
    for (const reference of delivered) expect(merchant.deliveriesOf(reference)).toHaveLength(1);
    expect(merchant.deliveries().length).toBe(before20 + 2);
    expect(merchant.deliveriesOf(first).at(-1)?.headers['payalo-brand']).toBe('acme');

    // Old callbacks are found, recognized, contradicted and replayed under the new name.
    expect((await ask(named, `callbacks/${first}?brand=acme`)).json).toMatchObject({
      brand: 'acme',
      state: 'delivered',
      webhookId: ids.get(first),
    });
    expect(await send(named, callbackBody({ reference: first }))).toBe('200 {"status":"ok","duplicate":true}');
    await send(named, callbackBody({ reference: second, status: 'failed' }));
    expect((await ask(named, `callbacks/${second}`)).json.conflicts).toHaveLength(1);
    expect((await ask(named, 'quarantine')).json.data).toHaveLength(2);
    expect((await ask(named, `callbacks/${first}/replay`, { method: 'POST' })).status).toBe(202);
    await until(() => merchant.deliveriesOf(first).filter(({ answered }) => answered === 200).length === 2);
    expect(new Set(merchant.deliveriesOf(first).map(({ webhookId }) => webhookId)).size).toBe(1);
    expect((await ask(named, 'callbacks?limit=200')).json.data).toHaveLength(22);
    await until(async () => (await ask(named, `callbacks/${first}`)).json.state === 'delivered');
    expect((await ask(named, `callbacks/${first}`, { method: 'DELETE' })).status).toBeLessThan(300);
    expect((await ask(named, `callbacks/${first}`)).json.body).toBeNull();

    // New callbacks belong to the new brand.
    const fresh = newReference();
    expect(await send(named, callbackBody({ reference: fresh }))).toBe('200 {"status":"ok"}');
    await until(() => merchant.deliveriesOf(fresh).length === 1);
    expect((await named.stop()).code).toBe(0);
    const again = await start(after);
    expect((await again.stop()).code).toBe(0);
  }, 60_000);
});

describe('brand move while processes receive for both names', () => {
  test('loses and duplicates nothing, although it is killed repeatedly', async () => {
    const { redis, merchant, before, start } = await world({ GATEWAY_BASE_URL: '' });
    const both = { ...before, PAYALO_API_KEYS: `${simulatorKey},acme=${otherKey}` };
    const service = await start(both);
    const client = new Redis(redis.url);
    closers.push(async () => client.disconnect());
    merchant.always(answer(200, { delayMs: 5 }));
    const earlier = Array.from({ length: 400 }, () => newReference());
    for (const reference of earlier) await send(service, callbackBody({ reference }));
    await until(() => merchant.uniqueIds().size === earlier.length, { timeoutMs: 30_000 });

    const loads = [simulatorKey, otherKey].map((key) => startLoad({ targets: [service.url], key }));
    const acme = '{payalo.acme}:payalo-callbacks.acme';
    const moments = [
      async () => (await client.exists(`${acme}/lineage`)) === 1,
      async () => (await client.keys(`${acme}/c:*`)).length > 50,
      async () => (await client.exists('{payalo}:payalo-callbacks/moving')) === 1,
    ];
    for (const isThere of moments) {
      const killed = startCli(['brand', 'move', 'default', 'acme'], both);
      await Promise.race([until(isThere, { timeoutMs: 30_000, everyMs: 1 }), killed.ended]);
      killed.kill('SIGKILL');
      await killed.ended;
    }
    expect(await runCli(['brand', 'move', 'default', 'acme'], both)).toMatchObject({ code: 0 });
    const counts = loads.map(({ answers }) => answers.length);
    await until(() => loads.every(({ answers }, index) => answers.length > (counts[index] ?? 0) + 20));
    const sent = (await Promise.all(loads.map((load) => load.stop()))).flat();
    expect(failuresOf(sent)).toEqual([]);
    await until(() => sent.every(({ reference }) => merchant.deliveriesOf(reference).length > 0), {
      timeoutMs: 30_000,
      describe: 'every callback to be delivered',
    });
    for (const reference of [...earlier, ...sent.map(({ reference }) => reference)])
      expect(merchant.deliveriesOf(reference).map(({ firstTime }) => firstTime)).toEqual([true]);

    // Callbacks with the old key go to the new name, where the old ones are known.
    const [known = ''] = earlier;
    await until(async () => (await send(service, callbackBody({ reference: known }))).includes('duplicate'));
    expect(merchant.deliveriesOf(known)).toHaveLength(1);
    expect((await runCli(['brand', 'move', 'default', 'acme'], both)).code).toBe(0);
    await service.stop();
    const refused = startService({ env: both });
    await expect(refused).rejects.toMatchObject({
      exitCode: 78,
      output: expect.stringMatching(/^PAYALO_API_KEYS: .*default was moved to acme.*brand reopen default/m),
    });
  }, 180_000);
});

describe('a start without Redis', () => {
  test('accepts callbacks, but does not enqueue, deliver or sweep until the brands are checked', async () => {
    const { redis, merchant, before, after, start } = await world();
    const old = await start(before, 'receive');
    const waiting = newReference();
    expect(await send(old, callbackBody({ reference: waiting }))).toBe('200 {"status":"ok"}');
    await old.stop();
    await redis.kill('SIGKILL');

    const named = await start({ ...after, ACK_BUDGET: '500ms' });
    const fresh = newReference();
    expect(await send(named, callbackBody({ reference: fresh }))).toBe('200 {"status":"ok"}');
    expect((await fetch(`${named.url}/readyz`)).status).toBe(200);
    await redis.restart();
    await until(() => named.logs.some(({ event }) => event === 'brands.not_configured'), { timeoutMs: 20_000 });
    expect(await send(named, callbackBody({ reference: waiting }))).toBe('200 {"status":"ok"}'); // a duplicate, spooled
    expect(swept(named)).toBe(0);
    expect(merchant.deliveries()).toEqual([]);

    expect((await runCli(['brand', 'move', 'default', 'acme'], after)).code).toBe(0);
    await until(() => merchant.uniqueIds().size === 2, { timeoutMs: 20_000 });
    await until(() => swept(named) >= 1);
    await until(async () => (await ask(named, `callbacks/${waiting}`)).json.duplicates === 1);
    for (const reference of [waiting, fresh]) {
      expect(merchant.deliveriesOf(reference)).toHaveLength(1);
      expect(merchant.deliveriesOf(reference)[0]?.headers['payalo-brand']).toBe('acme');
    }
  }, 60_000);
});

test('callbacks spooled under the old name go to the new one', async () => {
  const { redis, merchant, before, after, start } = await world();
  const old = await start({ ...before, ACK_BUDGET: '500ms' });
  const sent = newReference();
  expect(await send(old, callbackBody({ reference: sent }))).toContain('200');
  await until(async () => (await ask(old, `callbacks/${sent}`)).json.state === 'delivered');
  await redis.kill('SIGKILL');
  const spooled = newReference();
  for (const reference of [spooled, sent]) expect(await send(old, callbackBody({ reference }))).toContain('200');
  expect(await send(old, 'no JSON')).toContain('400');
  old.kill('SIGKILL');
  await old.exited;
  await redis.restart();
  expect((await runCli(['brand', 'move', 'default', 'acme'], after)).code).toBe(0);
  const named = await start({ ...after, SPOOL_DIR: `${old.dir}/spool` });
  await until(() => merchant.deliveriesOf(spooled).length === 1, { timeoutMs: 30_000 });
  expect(merchant.deliveriesOf(spooled)[0]?.headers['payalo-brand']).toBe('acme');
  await until(async () => (await ask(named, `callbacks/${sent}`)).json.duplicates === 1);
  await until(async () => (await ask(named, 'quarantine')).json.data.length === 1);
  expect(merchant.deliveriesOf(sent)).toHaveLength(1);
  await named.stop();
  const again = await start(after);
  expect((await again.stop()).code).toBe(0);
}, 60_000);

test('a renamed brand is refused although a process with the old name still runs', async () => {
  const { redis, before, after, start } = await world();
  const old = await start(before, 'receive');
  await send(old, callbackBody());
  const refused = (text: RegExp) =>
    expect(startService({ env: after })).rejects.toMatchObject({ exitCode: 78, output: expect.stringMatching(text) });
  await refused(/`payalo-receiver brand move default acme`;/);
  await old.stop();
  // An earlier version leaves no data that identifies the new name.
  const client = new Redis(redis.url);
  closers.push(async () => client.disconnect());
  await client.del('{payalo}:payalo-callbacks/brands', '{payalo}:payalo-callbacks/serving');
  await refused(/`payalo-receiver brand move default acme` \(or beta instead: whichever of them took its place\);/);
}, 60_000);

/** An undelivered callback of beta, and a configuration without beta. */
async function undelivered({ after, start }: Awaited<ReturnType<typeof world>>) {
  const old = await start({ ...after, FORWARD_URL: '' }, 'receive');
  const reference = newReference();
  await send(old, callbackBody({ reference }), otherKey);
  const acme = { ...after, PAYALO_API_KEYS: `acme=${simulatorKey}` };
  const refused = async (text: RegExp) =>
    expect(startService({ roles: ['receive'], env: acme })).rejects.toMatchObject({
      exitCode: 78,
      output: expect.stringMatching(text),
    });
  return { old, acme, reference, refused };
}

test('a brand that other processes serve has an owner while they run, or while BRANDS_ELSEWHERE names it', async () => {
  const here = await world();
  const { old, acme, refused } = await undelivered(here);
  expect((await (await here.start(acme, 'receive')).stop()).code).toBe(0);
  await old.stop();
  await refused(/^PAYALO_API_KEYS: .*beta \(1 undelivered\).*`payalo-receiver brand move beta acme`;/m);
  // As in an installation of an earlier version.
  const client = new Redis(here.redis.url);
  closers.push(async () => client.disconnect());
  await client.del('{payalo}:payalo-callbacks/brands');
  await refused(/^PAYALO_API_KEYS: .*beta/m);
  const elsewhere = await here.start({ ...acme, BRANDS_ELSEWHERE: 'beta' }, 'receive');
  expect((await elsewhere.stop()).code).toBe(0);
}, 120_000);

test('an abandoned brand can be retired once all its callbacks are delivered', async () => {
  const here = await world({ GATEWAY_BASE_URL: '' });
  const { old, acme, reference } = await undelivered(here);
  await old.stop();
  expect(await runCli(['brand', 'retire', 'beta'], acme)).toMatchObject({
    code: 1,
    out: expect.stringContaining('1 callbacks of beta are not delivered'),
  });
  const list = await runCli(['brand', 'list', '--json'], acme);
  expect(JSON.parse(list.out).brands).toMatchObject([
    { brand: 'acme', configured: true },
    { brand: 'beta', configured: false, undelivered: 1 },
  ]);
  const delivering = await here.start(here.after, 'work');
  await until(async () => (await ask(delivering, `callbacks/${reference}`)).json.state === 'delivered');
  await delivering.stop();
  expect((await runCli(['brand', 'retire', 'beta'], acme)).code).toBe(0);
  expect((await (await here.start(acme, 'receive')).stop()).code).toBe(0);
}, 120_000);

test.for([
  ['FROM and TO are the same', ['acme', 'acme'], 2],
  ['a name is not a valid brand', ['Acme!', 'beta'], 2],
  ['Redis holds nothing of a brand', ['nobody', 'acme'], 1],
] as const)('brand move refuses if %s', async ([, names, code]) => {
  const { after } = await world({ GATEWAY_BASE_URL: '' });
  expect((await runCli(['brand', 'move', ...names], after)).code).toBe(code);
});
