// Notifications of the real service: two processes, a merchant that goes away, a Redis that goes away; and `doctor --notify`.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../../src/config/config.ts';
import { checkNotify } from '../../../src/ops/doctor/doctor-notify.ts';
import { callbackBody, newReference, testKey } from '../../support/callbacks.ts';
import { runCli } from '../../support/cli.ts';
import { startRedis } from '../../support/redis.ts';
import { startService } from '../../support/service.ts';
import { until } from '../../support/until.ts';

const patience = { timeoutMs: 60_000, everyMs: 100 };
const body = z.looseObject({ type: z.string(), severity: z.string(), text: z.string(), since: z.iso.datetime() });

async function startServer(statusOf: () => number) {
  const got: z.infer<typeof body>[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += String(part)));
    request.on('end', () => {
      const parsed = body.safeParse(JSON.parse(text));
      if (parsed.success) got.push(parsed.data);
      response.writeHead(statusOf()).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${port}/hook`,
    got,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('two processes notify once that the merchant is down, and once that it is back; each notifies about Redis', async () => {
  await using redis = await startRedis();
  let merchantStatus = 503;
  using merchant = await startServer(() => merchantStatus);
  using people = await startServer(() => 200);
  const env = {
    REDIS_URL: redis.url,
    PAYALO_API_KEYS: testKey,
    FORWARD_URL: merchant.url,
    FORWARD_RETRIES: '1s,1s,1s,1s,1h',
    NOTIFY_URL: people.url,
  };
  await using one = await startService({ env });
  await using other = await startService({ env });
  const types = () => people.got.map(({ type }) => type);
  const receive = async (times: number) => {
    for (let at = 0; at < times; at += 1) {
      const callback = callbackBody({ reference: newReference() });
      await fetch(`${one.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body: callback });
    }
  };

  await receive(30);
  await until(() => types().includes('merchant.down'), patience);
  merchantStatus = 200;
  await until(() => types().includes('merchant.down.over'), patience);
  expect(types().filter((type) => type.startsWith('merchant.down'))).toEqual(['merchant.down', 'merchant.down.over']);
  expect(people.got[0]).toMatchObject({ severity: 'critical', brand: 'default' });

  await redis.kill('SIGKILL');
  await until(() => types().filter((type) => type === 'redis.down').length === 2, patience);
  await redis.restart();
  await until(() => types().includes('redis.down.over'), patience);
  expect(types().filter((type) => type === 'redis.down')).toHaveLength(2);
  const metrics = await (await fetch(`${other.opsUrl}/metrics`)).text();
  expect(metrics).toContain('payalo_notifications_total{outcome="sent"}');
}, 180_000);

test('a receiver of notifications that never answers holds up no callback and no stop', async () => {
  await using redis = await startRedis();
  using merchant = await startServer(() => 200);
  const silent = createServer(() => undefined);
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = z.object({ port: z.number() }).parse(silent.address());
  await using service = await startService({
    env: {
      REDIS_URL: redis.url,
      PAYALO_API_KEYS: testKey,
      FORWARD_URL: merchant.url,
      NOTIFY_URL: `http://127.0.0.1:${port}/`,
    },
  });
  const receive = (text: string) =>
    fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body: text });
  await Promise.all([once(silent, 'request'), receive('no json')]); // quarantined: worth a word
  const reference = newReference();
  expect((await receive(callbackBody({ reference }))).status).toBe(200);
  const stateOf = async (): Promise<unknown> => (await fetch(`${service.opsUrl}/v1/callbacks/${reference}`)).json();
  await until(async () => z.looseObject({ state: z.string() }).parse(await stateOf()).state === 'delivered');
  service.kill('SIGTERM');
  expect(await service.exited).toMatchObject({ code: 0 });
  silent.closeAllConnections();
  silent.close();
}, 60_000);

test('doctor --notify sends a test, and reports whether it was accepted', async () => {
  let status = 200;
  using people = await startServer(() => status);
  await using redis = await startRedis();
  const env = { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url, NOTIFY_URL: people.url };
  const checks = z.object({
    checks: z.array(z.looseObject({ name: z.string(), status: z.string(), detail: z.string() })),
  });
  const { out } = await runCli(['doctor', '--notify', '--json'], env);
  expect(checks.parse(JSON.parse(out)).checks.find(({ name }) => name === 'notifications')).toMatchObject({
    status: 'ok',
    detail: expect.stringContaining('unsigned'),
  });
  expect(people.got).toMatchObject([{ type: 'test', severity: 'info' }]);
  const ask = (url: string | undefined) => {
    const loaded = loadConfig({ ...env, NOTIFY_URL: url }, ['reconcile']);
    return 'config' in loaded ? checkNotify(loaded.config, Date.now()) : loaded.problems;
  };
  status = 410;
  expect(await ask(people.url)).toMatchObject({ status: 'problem', detail: expect.stringContaining('HTTP 410') });
  expect(await ask('')).toMatchObject({ status: 'problem', detail: expect.stringContaining('is not set') });
  expect(await ask('ftp://people')).toEqual([expect.stringMatching(/^NOTIFY_URL: is not an http/)]);
}, 60_000);
