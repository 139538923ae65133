// For any error of a real Redis, a callback is spooled and answered 200, and is queued as soon as Redis accepts it.
import { mkdir, rm } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe('a callback is spooled, answered 200, and queued afterwards, when Redis answers', () => {
  test('READONLY (turned replica by a failover)', async () => {
    const { server, redis } = await startServer();
    const service = await startReceiver(server);
    await redis.call('REPLICAOF', '127.0.0.1', '1');
    await expectRefusal(redis, 'READONLY');
    await expectSpooled(service, redis, () => redis.call('REPLICAOF', 'NO', 'ONE'));
  });

  test('OOM (maxmemory reached)', async () => {
    const { server, redis } = await startServer();
    const service = await startReceiver(server);
    await redis.config('SET', 'maxmemory', '1');
    await expectRefusal(redis, 'OOM');
    await expectSpooled(service, redis, () => redis.config('SET', 'maxmemory', '0'));
  });

  test('MISCONF (snapshots fail)', async () => {
    const { server, redis } = await startServer(['--appendonly', 'no', '--save', '3600 1']);
    const service = await startReceiver(server);
    await rm(server.dir, { recursive: true });
    await redis.bgsave();
    await until(async () => (await redis.info('persistence')).includes('rdb_last_bgsave_status:err'));
    await expectRefusal(redis, 'MISCONF');
    await expectSpooled(service, redis, async () => {
      await mkdir(server.dir);
      await redis.config('SET', 'stop-writes-on-bgsave-error', 'no');
    });
    await server.kill('SIGKILL'); // a graceful stop would require a snapshot, which still fails
  });

  test('NOAUTH (a password appeared)', async () => {
    const { server, redis } = await startServer();
    const service = await startReceiver(server);
    // Existing connections stay authenticated: only new ones lack the password.
    await redis.config('SET', 'requirepass', 'a-password');
    await expectRefusal(connectUnchecked(server), 'NOAUTH');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expectSpooled(service, redis, () => redis.config('SET', 'requirepass', ''));
  });

  test('LOADING (restarted with much data)', async () => {
    const { server, redis } = await startServer(['--appendonly', 'no']);
    const service = await startReceiver(server);
    await redis.eval("for i = 1, 2000 do redis.call('SET', 'k' .. i, i) end", 0);
    await redis.save();
    const stranger = connectUnchecked(server);
    await server.kill('SIGKILL');
    const loads = ['--appendonly', 'no', '--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'];
    // Not awaited: it is ready only once it has loaded, and until then it answers LOADING.
    const restarting = startRedis({ port: server.port, dir: server.dir, args: loads });
    ends.push(async () => {
      await (await restarting).stop();
    });
    await until(async () => (await refusal(stranger)).startsWith('LOADING'), { everyMs: 50 });
    await expectSpooled(service, redis, () => restarting);
  });

  test('CLUSTERDOWN (slots without a master)', async () => {
    const { server, redis } = await startServer(['--cluster-enabled', 'yes']);
    const service = await startReceiver(server);
    await expectRefusal(redis, 'CLUSTERDOWN');
    await expectSpooled(service, redis, () => redis.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383'));
  });

  test('TRYAGAIN (a slot on the move)', async () => {
    const { server, redis } = await startServer(['--cluster-enabled', 'yes']);
    const other = await startServer(['--cluster-enabled', 'yes']);
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await redis.call('CLUSTER', 'MEET', '127.0.0.1', String(other.server.port));
    await until(async () => String(await redis.call('CLUSTER', 'INFO')).includes('cluster_known_nodes:2'));
    await until(async () => String(await redis.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
    const service = await startReceiver(server);
    expect((await post(service, callbackBody())).status).toBe(200);
    const slot = String(await redis.call('CLUSTER', 'KEYSLOT', '{payalo}'));
    const otherId = String(await other.redis.call('CLUSTER', 'MYID'));
    await redis.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', otherId);
    await expectRefusal(redis, 'TRYAGAIN');
    await expectSpooled(service, redis, () => redis.call('CLUSTER', 'SETSLOT', slot, 'STABLE'));
  });
});

async function startServer(args: readonly string[] = []): Promise<{ server: TestRedis; redis: Redis }> {
  const server = await startRedis({ args });
  const redis = new Redis(server.url);
  redis.on('error', () => {}); // some of these servers are killed
  ends.push(async () => {
    redis.disconnect();
    await server.stop();
  });
  return { server, redis };
}

/** Sends commands at once; ioredis would otherwise wait until the server is ready. */
function connectUnchecked(server: TestRedis): Redis {
  const redis = new Redis(server.url, { enableReadyCheck: false, protocol: 2, retryStrategy: () => 20 });
  redis.on('error', () => {});
  ends.push(async () => redis.disconnect());
  return redis;
}

async function startReceiver(server: TestRedis): Promise<TestService> {
  const env = { PAYALO_API_KEYS: testKey, REDIS_URL: server.url, ACK_BUDGET: '2s', SHUTDOWN_TIMEOUT: '1s' };
  const service = await startService({ roles: ['receive'], env });
  ends.push(async () => service[Symbol.asyncDispose]());
  return service;
}

/** The error of a script that writes existing and new keys of the queue. */
async function refusal(redis: Redis): Promise<string> {
  try {
    const keys = ['{payalo}:payalo-callbacks:wait', '{payalo}:payalo-callbacks:absent'];
    await redis.eval("return redis.call('SET', KEYS[2], 1, 'PX', 1)", keys.length, ...keys);
    return 'taken';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Checks the premise, so that no test passes because its server accepted everything. */
async function expectRefusal(redis: Redis, code: string): Promise<void> {
  expect(await refusal(redis)).toMatch(new RegExp(`^${code} `));
}

async function expectSpooled(service: TestService, redis: Redis, relent: () => Promise<unknown>): Promise<void> {
  const references = Array.from({ length: 5 }, newReference);
  // One after the other, so that the breaker opens and some callbacks go straight to the spool.
  for (const reference of references) {
    const { status, body } = await post(service, callbackBody({ reference }));
    expect({ status, body }).toEqual({ status: 200, body: '{"status":"ok"}' });
  }
  // Log lines arrive through a pipe, later than the answers.
  const spooled = await until(() => {
    const lines = service.logs.filter(({ event }) => event === 'callback.spooled');
    return lines.length >= references.length && lines;
  });
  expect(spooled.map(({ gatewayReference }) => gatewayReference)).toEqual(references);
  expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
  await relent();
  const queued = await until(
    async () => {
      const jobs: string[] = await queuedReferences(redis).catch(() => []);
      return references.every((reference) => jobs.includes(reference)) && jobs;
    },
    { timeoutMs: 20_000, everyMs: 50, describe: 'the spooled callbacks in the queue' },
  );
  expect(queued.filter((reference) => references.includes(reference))).toEqual(references);
  // Redis then refuses everything, so no single callback is blamed.
  expect(service.logs.map(({ event }) => event)).not.toContain('intake.refused');
}

/** In the order in which they were queued. */
async function queuedReferences(redis: Redis): Promise<string[]> {
  const queue = '{payalo}:payalo-callbacks';
  const references: string[] = [];
  for (const jobId of (await redis.lrange(`${queue}:wait`, 0, -1)).toReversed()) {
    const data = await redis.hget(`${queue}:${jobId}`, 'data');
    references.push(String(JSON.parse(data ?? '{}').gatewayReference));
  }
  return references;
}

async function post(service: TestService, body: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${service.url}/webhooks/payalo`, {
    method: 'POST',
    headers: { 'x-api-key': testKey, 'content-type': 'application/json' },
    body,
  });
  return { status: response.status, body: await response.text() };
}
