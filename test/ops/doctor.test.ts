// The doctor with real servers: each finding is provoked, and each check also passes once.
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import type { Check } from '../../src/ops/doctor/check.ts';
import { runDoctor, type DoctorOptions } from '../../src/ops/doctor/doctor.ts';
import { runStartChecks } from '../../src/ops/doctor/start-checks.ts';
import { checkSpoolFolder } from '../../src/ops/doctor/doctor-spool.ts';
import { brandQueue, keysOf } from '../../src/redis/brand-queue.ts';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe('reports no problem', () => {
  test('if there is none', async () => {
    const { redis, config } = await setUp({ FORWARD_URL: await startMerchant(404) });
    await redis.config('SET', 'maxmemory', '1gb');
    const checks = await doctor(config, redis, { checkGatewayKey: async () => ({ kind: 'ok' }) });
    const unwell = checks.filter(({ status, name }) => status !== 'ok' && !name.startsWith('spool '));
    expect(unwell).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Redis version', 'Redis appendonly', 'clock', 'Redis memory', 'merchant of default']),
    );
  });
});

describe('finds', () => {
  test.each([
    ['appendonly', 'no', 'problem'],
    ['appendfsync', 'everysec', 'warning'],
    ['appendfsync', 'no', 'problem'],
    ['maxmemory-policy', 'allkeys-lru', 'problem'],
  ])('%s %s, a %s, with the command that fixes it', async (setting, value, status) => {
    const { redis, config } = await setUp();
    await redis.config('SET', setting, value);
    const check = find(await doctor(config, redis), `Redis ${setting}`);
    expect(check).toMatchObject({ status, fix: expect.stringContaining(`CONFIG SET ${setting}`) });
  });

  test('callbacks that wait under a prefix or a name that was set before, once no process serves them', async () => {
    const { redis, config, url } = await setUp({ QUEUE_PREFIX: '{now}' });
    const env = { REDIS_URL: url, PAYALO_API_KEYS: testKey, FORWARD_URL: 'http://127.0.0.1:9', QUEUE_NAME: 'before' };
    const leftBehind = async () => (await doctor(config, redis)).filter(({ name }) => name === 'queues left behind');
    {
      await using service = await startService({ env });
      const sent = await fetch(`${service.url}/webhooks/payalo`, {
        method: 'POST',
        headers: { 'x-api-key': testKey },
        body: callbackBody({ reference: newReference() }),
      });
      expect(sent.status).toBe(200);
      expect(await leftBehind()).toEqual([]); // it is served
      await service.stop();
    }
    expect(await leftBehind()).toMatchObject([
      {
        status: 'problem',
        detail: expect.stringContaining(
          '1 undelivered callback of the brand default under QUEUE_PREFIX={payalo} QUEUE_NAME=before',
        ),
      },
    ]);
    const stranger = await setUp({ QUEUE_PREFIX: '{now}', PAYALO_API_KEYS: `${testKey}-of-another-merchant` });
    expect((await doctor(stranger.config, redis)).filter(({ name }) => name === 'queues left behind')).toEqual([]);
  });

  test('settings that the server does not show', async () => {
    const { redis, config } = await setUp();
    await redis.call('ACL', 'SETUSER', 'default', '-config');
    const checks = await doctor(config, redis);
    // INFO tells two of the three.
    expect(find(checks, 'Redis appendonly')).toMatchObject({ status: 'ok' });
    expect(find(checks, 'Redis maxmemory-policy')).toMatchObject({ status: 'ok' });
    expect(find(checks, 'Redis appendfsync')).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('cannot be read'),
    });
  });

  test('a Redis that is down', async () => {
    const { config } = await setUp();
    const away = new Redis({ port: await freePort(), host: '127.0.0.1', enableOfflineQueue: false });
    away.on('error', () => {});
    ends.push(() => away.disconnect());
    expect(find(await doctor(config, away), 'Redis')).toMatchObject({ status: 'problem' });
  });

  test('a Redis that is a replica', async () => {
    const { redis, config } = await setUp();
    await redis.call('REPLICAOF', '127.0.0.1', '1');
    expect(find(await doctor(config, redis), 'Redis role')).toMatchObject({ status: 'problem' });
  });

  test('a clock that is off', async () => {
    const { redis, config } = await setUp();
    const checks = await doctor(config, redis, { now: () => Date.now() - 60_000 });
    expect(find(checks, 'clock')).toMatchObject({ status: 'warning', detail: expect.stringContaining('behind') });
    const far = await doctor(config, redis, { now: () => Date.now() + 600_000 });
    expect(find(far, 'clock')).toMatchObject({ status: 'problem', detail: expect.stringContaining('ahead') });
  });

  test('when maxmemory is reached at the rate of the last hour', async () => {
    const { redis, config } = await setUp();
    await redis.config('SET', 'maxmemory', '40mb');
    const callbackIndex = keysOf.index(brandQueue('default', config), 'success');
    const jobs = Array.from({ length: 2_000 }, (_, index) => [Date.now() - index, `job${index}`]).flat();
    await redis.zadd(callbackIndex, ...jobs);
    const check = find(await doctor(config, redis), 'Redis memory');
    expect(check.status).toBe('problem');
    expect(check.detail).toMatch(/2000 callbacks in the last hour: at this rate it is full in \d+ (minutes|hours)/);
  });

  test('a merchant that is down, and one that answers with errors, without printing password or query', async () => {
    const port = await freePort();
    const { redis, config } = await setUp({ FORWARD_URL: `http://user:secret@127.0.0.1:${port}/hook?token=secret` });
    const check = find(await doctor(config, redis), 'merchant of default');
    expect(check).toMatchObject({ status: 'problem', detail: expect.stringContaining('ECONNREFUSED') });
    expect(JSON.stringify(check)).not.toContain('secret');
    const errs = await setUp({ FORWARD_URL: await startMerchant(500) });
    expect(find(await doctor(errs.config, errs.redis), 'merchant of default')).toMatchObject({ status: 'warning' });
  });

  test.each([
    [{ kind: 'unauthorized' } as const, 'problem'],
    [{ kind: 'unavailable', reason: 'ECONNREFUSED' } as const, 'warning'],
    [undefined, 'warning'],
  ])('what the gateway says of a key: %j is a %s', async (answer, status) => {
    const { redis, config } = await setUp();
    const checks = await doctor(config, redis, { checkGatewayKey: async () => answer });
    expect(find(checks, 'gateway key of default')).toMatchObject({ status });
  });

  test('a spool folder that cannot be written', async () => {
    const dir = path.join(await makeTempDir('doctor'), 'spool');
    writeFileSync(dir, 'a file');
    const [check] = await checkSpoolFolder({ dir, maxBytes: 1, production: false });
    expect(check).toMatchObject({ name: 'spool folder', status: 'problem', detail: expect.stringContaining('EEXIST') });
  });

  test.skipIf(process.platform !== 'linux')('a spool on tmpfs: a warning, in production a problem', async () => {
    const dir = `/dev/shm/payalo-doctor-${process.pid}`;
    const [development, production] = await Promise.all(
      [false, true].map((production) => checkSpoolFolder({ dir, maxBytes: 1, production })),
    );
    const name = 'spool file system';
    expect(find(development ?? [], name)).toMatchObject({
      status: 'warning',
      detail: expect.stringContaining('tmpfs'),
    });
    expect(find(production ?? [], name)).toMatchObject({ status: 'problem' });
  });

  test('less room than SPOOL_MAX_BYTES', async () => {
    const dir = await makeTempDir('doctor');
    const checks = await checkSpoolFolder({ dir, maxBytes: 1e18, production: false });
    expect(find(checks, 'spool free space')).toMatchObject({ status: 'warning' });
  });
});

describe('tries the public way in', () => {
  test('which leads to a receiver that neither claims nor queues anything', async () => {
    const { redis, config, url } = await setUp();
    const service = await startService({ roles: ['receive'], env: { PAYALO_API_KEYS: testKey, REDIS_URL: url } });
    ends.push(() => service[Symbol.asyncDispose]());
    const checks = await doctor(config, redis, { publicUrl: `${service.url}/webhooks/payalo` });
    expect(find(checks, 'public way in, without a key')).toMatchObject({ status: 'ok' });
    expect(find(checks, 'public way in, a pending callback')).toMatchObject({ status: 'ok' });
    expect(await redis.keys('*payalo-callbacks/c:*')).toEqual([]);
    const wrongPath = await doctor(config, redis, { publicUrl: `${service.url}/elsewhere` });
    expect(find(wrongPath, 'public way in, without a key')).toMatchObject({ status: 'problem' });
    expect(find(wrongPath, 'public way in, a pending callback')).toMatchObject({ status: 'problem' });
  });

  test('and finds a server that accepts requests without a key', async () => {
    const { redis, config } = await setUp();
    const checks = await doctor(config, redis, { publicUrl: await startMerchant(200) });
    expect(find(checks, 'public way in, without a key')).toMatchObject({ status: 'problem' });
  });
});

test('at start logs findings, and nothing else', async () => {
  const { redis, config } = await setUp();
  await redis.config('SET', 'appendfsync', 'no');
  const lines: object[] = [];
  const log = { info: () => {}, warn: (line: object) => lines.push(line) };
  await runStartChecks({ config, queues: [brandQueue('default', config)], redis, log });
  expect(lines).toContainEqual(
    expect.objectContaining({ event: 'doctor.finding', check: 'Redis appendfsync', status: 'problem' }),
  );
  expect(lines).not.toContainEqual(expect.objectContaining({ status: 'ok' }));
});

test('at start a process that receives no callbacks reports nothing about the spool', async () => {
  const { redis } = await setUp();
  const environment = { PAYALO_API_KEYS: testKey, SPOOL_DIR: '/proc/none', FORWARD_URL: 'http://127.0.0.1:1/' };
  const lines: object[] = [];
  const log = { info: () => {}, warn: (line: object) => lines.push(line) };
  for (const role of ['work', 'receive']) {
    const loaded = loadConfig(environment, [role]);
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    await runStartChecks({ config: loaded.config, queues: [brandQueue('default', loaded.config)], redis, log });
    const ofSpool = lines.filter((line) => String(Reflect.get(line, 'check')).startsWith('spool'));
    expect(ofSpool).toHaveLength(role === 'work' ? 0 : 1);
  }
});

async function setUp(environment: Record<string, string> = {}): Promise<{ redis: Redis; config: Config; url: string }> {
  const server = await startRedis();
  const redis = new Redis(server.url);
  ends.push(async () => {
    redis.disconnect();
    await server.stop();
  });
  const loaded = loadConfig({
    PAYALO_API_KEYS: testKey,
    REDIS_URL: server.url,
    SPOOL_DIR: path.join(await makeTempDir('doctor'), 'spool'),
    SPOOL_MAX_BYTES: '65536',
    ...environment,
  });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return { redis, config: loaded.config, url: server.url };
}

function doctor(config: Config, redis: Redis, options: Partial<DoctorOptions> = {}): Promise<Check[]> {
  const queues = [brandQueue('default', config)];
  return runDoctor({ config, redis, queues, checkGatewayKey: async () => undefined, ...options });
}

function find(checks: readonly Check[], name: string): Check {
  const check = checks.find((candidate) => candidate.name === name);
  if (check === undefined) throw new Error(`no check ${name} among ${checks.map(({ name }) => name).join(', ')}`);
  return check;
}

async function startMerchant(status: number): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
}
