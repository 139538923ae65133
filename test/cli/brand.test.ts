// A brand gets another name: the service as processes, a real Redis, the gateway's and the merchant's simulators.
import { afterEach, describe, expect, test } from 'vitest';
import { createGatewaySimulator, simulatorKey } from '../../src/simulator/gateway.ts';
import { answer } from '../../src/simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../src/simulator/merchant.ts';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { runCli } from '../support/cli.ts';
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
  test('is refused at start until `brand move` took everything along; then nothing is delivered again, and ids stay', async () => {
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
        /^PAYALO_API_KEYS: .*default.*`payalo-receiver brand move default acme` \(or beta .*$/m,
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

    // The old ones are found, known, contradicted and replayed under the new name.
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

    // New ones are the new brand's own.
    const fresh = newReference();
    expect(await send(named, callbackBody({ reference: fresh }))).toBe('200 {"status":"ok"}');
    await until(() => merchant.deliveriesOf(fresh).length === 1);
    expect((await named.stop()).code).toBe(0);
    const again = await start(after);
    expect((await again.stop()).code).toBe(0);
  }, 60_000);
});
