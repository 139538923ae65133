// A Redis user with limited permissions: the minimum that docs/deployment.md lists, the users of managed services, and a
// permission that is revoked while the service runs.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createCallbackWorker } from '../../src/deliver/callback-worker.ts';
import { createGatewaySimulator, simulatorKey } from '../../simulator/gateway.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const documented = /^ACL SETUSER payalo (.+)$/m.exec(readFileSync('docs/deployment.md', 'utf8'))?.[1] ?? '';
const managed = 'on >a-long-password ~* &* +@all -@dangerous';
/** A second brand, whose keys have another prefix. */
const otherKey = 'acme-key-0123456789abcdef';
const token = 'operator-token-0123456789';
vi.setConfig({ testTimeout: 120_000 });

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function startWorld(rules: string) {
  const redis = await startRedis();
  const admin = new Redis(redis.url);
  const allow = async (text: string) => admin.call('ACL', 'SETUSER', 'payalo', ...text.split(' '));
  await allow(rules);
  const gateway = createGatewaySimulator();
  const merchant = createMerchantSimulator();
  ends.push(
    async () => redis.stop(),
    async () => admin.disconnect(),
    () => gateway.close(),
    () => merchant.close(),
  );
  const env = {
    PAYALO_API_KEYS: `${simulatorKey},acme=${otherKey}`,
    REDIS_URL: `redis://payalo:a-long-password@127.0.0.1:${redis.port}`,
    GATEWAY_BASE_URL: (await gateway.listen()).url,
    FORWARD_URL: (await merchant.listen()).url,
    FORWARD_RETRIES: '100ms,100ms,100ms,10s',
    RECONCILE_EVERY: '200ms',
    RECONCILE_GRACE: '200ms',
    RECONCILE_LOOKBACK: '4h',
    OPS_TOKEN: token,
  };
  return {
    redis,
    admin,
    allow,
    gateway,
    merchant,
    env,
    async start(...roles: string[]): Promise<TestService> {
      const service = await startService({ roles, env });
      ends.push(async () => service[Symbol.asyncDispose]());
      return service;
    },
    /** The commands that Redis has refused to the user so far. */
    async refused(): Promise<string[]> {
      const entries: unknown = await admin.call('ACL', 'LOG', '128');
      if (!Array.isArray(entries)) throw new Error('no list');
      return entries.map((entry: unknown) => (Array.isArray(entry) ? `${entry[3]} ${entry[5]} ${entry[7]}` : ''));
    },
  };
}

async function send(service: TestService, body: string, key = simulatorKey): Promise<string> {
  const headers = { 'x-api-key': key };
  const response = await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body });
  return `${response.status} ${await response.text()}`;
}

async function operate(service: TestService, call: string, body?: unknown): Promise<number> {
  const [method = '', pathname = ''] = call.split(' ');
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
  const response = await fetch(`${service.opsUrl}${pathname}`, init);
  await response.arrayBuffer();
  return response.status;
}

/** Exercises every stage: intake, delivery with retries, reconciliation, the operator's calls. */
async function walkTheMainPath({ merchant, gateway }: Awaited<ReturnType<typeof startWorld>>, service: TestService) {
  const reference = newReference();
  merchant.next(answer(500), answer(500));
  expect(await send(service, callbackBody({ reference }))).toBe('200 {"status":"ok"}');
  expect(await send(service, callbackBody({ reference }))).toBe('200 {"status":"ok","duplicate":true}');
  expect(await send(service, callbackBody({ reference, status: 'failed' }))).toContain('200');
  expect(await send(service, '{"gatewayReference":""}')).toContain('422');
  // Waits, so that no other callback takes one of the two failures.
  await until(() => merchant.deliveriesOf(reference).length === 3, { timeoutMs: 25_000, describe: 'the delivery' });
  const other = newReference();
  expect(await send(service, callbackBody({ reference: other }), otherKey)).toBe('200 {"status":"ok"}');
  await until(() => merchant.deliveriesOf(other).length === 1, { describe: 'the delivery of the other brand' });
  const path = `/v1/callbacks/${reference}`;
  await until(async () => (await operate(service, `POST ${path}/replay`)) === 202, { describe: 'the replay' });
  await until(() => merchant.deliveriesOf(reference).length === 4, { describe: 'the delivery again' });

  gateway.addTransactions({ count: 3, completedAfterMs: 0 });
  await until(() => merchant.uniqueIds().size >= 5, { describe: 'what never came to be found' });
  expect(await operate(service, 'POST /v1/expectations', { gatewayReference: newReference() })).toBe(202);
  for (const query of ['', '?state=delivered', '?state=failed', '?state=queued', '?merchantReference=quickstart-001'])
    expect(await operate(service, `GET /v1/callbacks${query}`)).toBe(200);
  for (const page of ['/v1/reconciliation', '/v1/quarantine', path, '/metrics', '/', '/callbacks', '/reconciliation'])
    expect([page, await operate(service, `GET ${page}`)]).toEqual([page, 200]);
  expect(await operate(service, 'POST /v1/forwarding/pause')).toBeLessThan(300);
  expect(await operate(service, 'POST /v1/forwarding/resume')).toBeLessThan(300);
  await until(async () => (await operate(service, `DELETE ${path}`)) < 300, { describe: 'the erasure' });
}

async function cpuSeconds(service: TestService): Promise<number> {
  const text = await (await fetch(`${service.opsUrl}/metrics`)).text();
  return Number(/^process_cpu_seconds_total ([\d.]+)/m.exec(text)?.[1]);
}

describe.for([
  { name: 'what docs/deployment.md lists', rules: documented, refused: /^$/ },
  { name: 'what managed services give', rules: managed, refused: /^command toplevel (info|config\|get)$/ },
])('with $name', ({ rules, refused }) => {
  test('the whole service works, in all roles, and Redis refuses nothing that it needs', async () => {
    const world = await startWorld(rules);
    const service = await world.start('all');
    await walkTheMainPath(world, service).catch(async (error: unknown) => {
      throw new Error(`refused: ${(await world.refused()).join(', ')}`, { cause: error });
    });
    await promisify(execFile)(process.execPath, [path.resolve('src/cli.ts'), 'doctor'], {
      env: { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...world.env, SPOOL_DIR: service.dir },
    }).catch(() => undefined);
    expect((await world.refused()).filter((entry) => !refused.test(entry))).toEqual([]);
    expect((await service.stop()).code).toBe(0);
  });
});

test('a missing INFO is logged once in a sentence, and does not make work or all spin', async () => {
  const world = await startWorld(managed);
  const services = [await world.start('work'), await world.start('all')];
  for (const service of services) {
    const before = await cpuSeconds(service);
    const until1s = performance.now() + 1_000;
    await until(() => performance.now() > until1s, { everyMs: 100 });
    expect((await cpuSeconds(service)) - before).toBeLessThan(0.8);
    const findings = () =>
      service.logs.filter(({ event, detail }) => event === 'doctor.finding' && /INFO/.test(String(detail)));
    await until(() => findings().length > 0, { describe: 'the sentence' });
    expect(findings()).toHaveLength(1);
    expect((await fetch(`${service.opsUrl}/livez`)).status).toBe(200);
    expect((await service.stop()).code).toBe(0);
  }
});

test.for(['-evalsha -eval', '-bzpopmin', '-@all', '-hmget -hget', 'off'])(
  'permissions revoked at run time (%s) cost no callback, and have no effect once restored',
  async (taken) => {
    const world = await startWorld(managed);
    const service = await world.start('all');
    const first = newReference();
    expect(await send(service, callbackBody({ reference: first }))).toContain('200');
    await until(() => world.merchant.deliveriesOf(first).length === 1);
    await world.allow(taken);
    if (taken === 'off') await world.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const references = [newReference(), newReference(), newReference()];
    for (const reference of references) expect(await send(service, callbackBody({ reference }))).toContain('200');
    const before = await cpuSeconds(service);
    const until1s = performance.now() + 2_000;
    await until(() => performance.now() > until1s, { everyMs: 100 });
    expect((await cpuSeconds(service)) - before).toBeLessThan(1.2);
    expect((await fetch(`${service.opsUrl}/livez`)).status).toBe(200);
    expect(service.logs.filter(({ event }) => event === 'breaker.unknown').length).toBeLessThan(3);
    await world.allow('reset');
    await world.allow(managed);
    await until(() => references.every((reference) => world.merchant.deliveriesOf(reference).length > 0), {
      timeoutMs: 30_000,
      describe: 'the deliveries',
    });
    expect((await service.stop()).code).toBe(0);
  },
);

test('names a permission that is missing in one sentence, once for each connection', async () => {
  const world = await startWorld(managed);
  const service = await world.start('work');
  await world.allow('-evalsha');
  const logged = () => service.logs.filter(({ event }) => event === 'redis.not_permitted');
  await until(() => logged().length > 0, { describe: 'the sentence' });
  await until(async () => (await world.refused()).filter((entry) => entry.includes('evalsha')).length > 0);
  const refusals = () => world.admin.call('INFO', 'commandstats');
  const count = async () => Number(/cmdstat_evalsha:.*rejected_calls=(\d+)/.exec(String(await refusals()))?.[1] ?? 0);
  const before = await count();
  await until(async () => (await count()) > before + 2, { describe: 'more refusals' });
  const connections = logged().map(({ connection }) => connection);
  expect(connections).toEqual([...new Set(connections)]);
  expect(logged()[0]).toMatchObject({ reason: expect.stringContaining("'evalsha'"), fix: expect.any(String) });
});

test("the package's worker for merchants works without INFO as well", async () => {
  const world = await startWorld(managed);
  const service = await world.start('receive');
  const handled: string[] = [];
  const worker = createCallbackWorker(async ({ gatewayReference }) => void handled.push(gatewayReference), {
    connection: { host: '127.0.0.1', port: world.redis.port, username: 'payalo', password: 'a-long-password' },
  });
  ends.push(() => worker.close());
  const reference = newReference();
  expect(await send(service, callbackBody({ reference }))).toContain('200');
  await until(() => handled.length > 0, { timeoutMs: 20_000, describe: 'the callback to be handled' });
  expect(handled).toEqual([reference]);
});

test('SIGTERM stops it gracefully even while nothing is permitted', async () => {
  const world = await startWorld(managed);
  const service = await world.start('all');
  await world.allow('-@all');
  expect(await send(service, callbackBody())).toContain('200');
  expect((await service.stop()).code).toBe(0);
});
