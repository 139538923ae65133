// The service and its spool while Redis is down: real processes, real signals.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

test('accepts callbacks although Redis was never up since the start, and queues them in order once it is', async () => {
  const port = await freePort();
  const service = await start(`redis://127.0.0.1:${port}`);
  const references = await postMany(service, 30);
  expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
  const redis = await startRedisOn(port);
  expect(await queued(redis, 30)).toEqual(references);
});

test('answers within ACK_BUDGET + 2 s while Redis is frozen, at once after a few of those, and loses nothing', async () => {
  const server = await startRedisOn();
  const service = await start(server.url, { ACK_BUDGET: '1s' });
  const first = await postMany(service, 3);
  await server.kill('SIGSTOP');
  const references = [...first];
  let slowestMs = 0;
  for (let number = 0; number < 10; number += 1) {
    const startedAt = performance.now();
    references.push(...(await postMany(service, 1)));
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  }
  expect(slowestMs).toBeLessThan(3_000);
  // Three callbacks waited for the budget and opened the breaker; of the others at most one probe a second waits.
  const waited = service.logs.filter(({ event, ms }) => event === 'callback.spooled' && Number(ms) >= 900);
  expect(waited.length).toBeLessThan(10);
  await server.kill('SIGCONT');
  expect((await queued(server, 13)).toSorted()).toEqual(references.toSorted());
});

test('drains first on SIGTERM', async () => {
  const port = await freePort();
  const service = await start(`redis://127.0.0.1:${port}`);
  await postMany(service, 5);
  const server = await startRedisOn(port);
  const { code } = await service.stop();
  expect(code).toBe(0);
  expect(await queued(server, 5)).toHaveLength(5);
  expect(readdirSync(path.join(service.dir, 'spool'))).toEqual([]);
});

test('logs on SIGTERM how many remain, and the next process takes them from the disk', async () => {
  const port = await freePort();
  const dir = path.join(await makeTempDir('spool'), 'spool');
  const first = await start(`redis://127.0.0.1:${port}`, { SPOOL_DIR: dir });
  const references = await postMany(first, 5);
  await first.stop();
  expect(first.logs).toContainEqual(expect.objectContaining({ event: 'spool.left', entries: 5 }));
  await start(`redis://127.0.0.1:${port}`, { SPOOL_DIR: dir });
  expect(await queued(await startRedisOn(port), 5)).toEqual(references);
});

test('lets another receiver adopt the spool of a killed one within half a minute', async () => {
  const port = await freePort();
  const dir = path.join(await makeTempDir('spool'), 'spool');
  const env = { SPOOL_DIR: dir };
  const [first] = await Promise.all([start(`redis://127.0.0.1:${port}`, env), start(`redis://127.0.0.1:${port}`, env)]);
  const references = await postMany(first, 5);
  first.kill('SIGKILL');
  expect(await queued(await startRedisOn(port), 5)).toEqual(references);
});

test('answers 503 with Retry-After and is not ready if neither Redis nor the spool works; 200 again as soon as one does', async () => {
  const port = await freePort();
  const dir = path.join(await makeTempDir('spool'), 'spool');
  writeFileSync(dir, 'a file where the folder should be');
  const service = await start(`redis://127.0.0.1:${port}`, { SPOOL_DIR: dir, ACK_BUDGET: '500ms' });
  const refused = await post(service, callbackBody());
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
  expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
  rmSync(dir);
  await until(async () => (await fetch(`${service.url}/readyz`)).status === 200);
  expect((await post(service, callbackBody())).status).toBe(200);
});

test('answers 503 once the spool is full, and drains what it stored', async () => {
  const port = await freePort();
  const service = await start(`redis://127.0.0.1:${port}`, { SPOOL_MAX_BYTES: '65536' });
  const statuses: number[] = [];
  while (statuses.at(-1) !== 503 && statuses.length < 200) {
    statuses.push((await post(service, callbackBody())).status);
  }
  const taken = statuses.filter((status) => status === 200).length;
  expect(statuses.at(-1)).toBe(503);
  expect(taken).toBeGreaterThan(20);
  expect(await queued(await startRedisOn(port), taken)).toHaveLength(taken);
});

test('quarantines refused requests even while Redis is down, and lists them in Redis afterwards', async () => {
  const port = await freePort();
  const service = await start(`redis://127.0.0.1:${port}`);
  expect((await post(service, 'this is not JSON')).status).toBe(400);
  const server = await startRedisOn(port);
  const redis = new Redis(server.url);
  ends.push(async () => redis.disconnect());
  const [id] = await until(async () => {
    const ids = await redis.zrange('{payalo}:payalo-callbacks/q', '0', '-1');
    return ids.length > 0 && ids;
  });
  const entry = await redis.hgetall(`{payalo}:payalo-callbacks/q:${id}`);
  expect(entry).toMatchObject({ reason: 'not-json', body: 'this is not JSON', brand: 'default' });
  expect(JSON.stringify(entry)).not.toContain(testKey);
});

async function start(redisUrl: string, env: Record<string, string> = {}): Promise<TestService> {
  const service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: redisUrl, ACK_BUDGET: '1s', SHUTDOWN_TIMEOUT: '5s', ...env },
  });
  ends.push(async () => service[Symbol.asyncDispose]());
  return service;
}

async function startRedisOn(port?: number): Promise<TestRedis> {
  const server = await startRedis(port === undefined ? {} : { port });
  ends.push(async () => {
    await server.stop();
  });
  return server;
}

/** One after the other; each must be answered 200. */
async function postMany(service: TestService, count: number): Promise<string[]> {
  const references = Array.from({ length: count }, newReference);
  for (const reference of references) {
    expect((await post(service, callbackBody({ reference }))).status).toBe(200);
  }
  return references;
}

function post(service: TestService, body: string): Promise<Response> {
  return fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
}

/** Waits for `count` jobs; returns their references in queue order. */
async function queued(server: TestRedis, count: number): Promise<string[]> {
  const redis = new Redis(server.url);
  ends.push(async () => redis.disconnect());
  const queue = '{payalo}:payalo-callbacks';
  await until(async () => (await redis.llen(`${queue}:wait`)) >= count, {
    timeoutMs: 30_000,
    describe: `${count} jobs in the queue`,
  });
  const references: string[] = [];
  for (const jobId of (await redis.lrange(`${queue}:wait`, 0, -1)).toReversed()) {
    references.push(String(JSON.parse((await redis.hget(`${queue}:${jobId}`, 'data')) ?? '{}').gatewayReference));
  }
  return references;
}
