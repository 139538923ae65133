// Several deployments with one SPOOL_DIR: each drains its own callbacks, whatever happens to its Redis. Real processes.
import { Redis } from 'ioredis';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import { ownerOf, isSameOwner } from '../../src/intake/spool/spool-owner.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { runCli } from '../support/cli.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 90_000 }); // up to three services each

let dir: string;
let ends: (() => unknown)[];

beforeEach(async () => {
  dir = path.join(await makeTempDir('owner'), 'spool');
  ends = [() => rmSync(path.dirname(dir), { recursive: true, force: true })];
});

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
});

describe('of two deployments with one SPOOL_DIR', () => {
  const prefix = '{payalo}';
  const name = 'payalo-callbacks';
  test.for([
    { differ: 'Redis', database: '', isSameServer: false, prefixB: prefix, nameB: name },
    { differ: 'database', database: '/1', isSameServer: true, prefixB: prefix, nameB: name },
    { differ: 'prefix', database: '', isSameServer: true, prefixB: '{other}', nameB: name },
    { differ: 'queue name', database: '', isSameServer: true, prefixB: prefix, nameB: 'other' },
  ])('each gets its own callbacks (another $differ)', async ({ database, isSameServer, prefixB, nameB }) => {
    const portA = await freePort();
    const portB = isSameServer ? portA : await freePort();
    const urlB = `${urlOf(portB)}${database}`;
    const first = await start(urlOf(portA));
    const ofA = await postMany(first, 5);
    await kill(first);
    const second = await start(urlB, { QUEUE_PREFIX: prefixB, QUEUE_NAME: nameB });
    const ofB = await postMany(second, 5);
    const serverA = await startOn(portA);
    if (!isSameServer) await startOn(portB);
    expect(await queued(urlB, 5, `${prefixB}:${nameB}`)).toEqual(ofB);
    await until(() => logged(second, 'spool.foreign').length > 0);
    await second.stop();
    expect(logged(second, 'spool.foreign')).toHaveLength(1);
    await start(urlOf(portA));
    expect(await queued(serverA.url, 5)).toEqual(ofA);
  });

  test('a process of one deployment never adopts the other’s spool', async () => {
    const [portA, portB] = [await freePort(), await freePort()];
    const [first, second] = await Promise.all([start(urlOf(portA)), start(urlOf(portB))]);
    const ofA = await postMany(first, 3);
    await kill(first);
    const serverB = await startOn(portB);
    await until(() => logged(second, 'spool.foreign').length > 0);
    expect(await lengthOf(serverB)).toBe(0);
    await start(urlOf(portA));
    expect(await queued((await startOn(portA)).url, 3)).toEqual(ofA);
  });
});

describe('the callbacks of one deployment are drained', () => {
  test('if its Redis has another address, but its data', async () => {
    const server = await startOn(await freePort());
    const first = await start(server.url);
    await until(() => markOf(dir)?.includes('"id"') === true);
    await server.kill('SIGKILL');
    const references = await postMany(first, 5);
    await kill(first);
    const moved = await startRedis({ port: await freePort(), dir: server.dir });
    ends.push(() => moved.stop());
    await start(moved.url);
    expect(await queued(moved.url, 5)).toEqual(references);
  });

  test('if its Redis lost its data', async () => {
    const port = await freePort();
    const server = await startOn(port);
    const first = await start(server.url);
    await until(() => markOf(dir)?.includes('"id"') === true);
    await server.kill('SIGKILL');
    const references = await postMany(first, 5);
    await kill(first);
    await server.stop();
    // Another process, without this spool, started first and gave the empty Redis a new id.
    const empty = await startOn(port);
    const other = await start(empty.url, { SPOOL_DIR: path.join(path.dirname(dir), 'other') });
    const redis = connect(empty.url);
    await until(() => redis.exists('{payalo}:payalo-callbacks/deployment'));
    await start(empty.url);
    expect(await queued(empty.url, 5)).toEqual(references);
    expect(logged(other, 'spool.foreign')).toEqual([]);
  });

  test('if they were left by a version without marks', async () => {
    const port = await freePort();
    const first = await start(urlOf(port));
    const references = await postMany(first, 5);
    await kill(first);
    rmSync(markFile(dir));
    await start(urlOf(port));
    expect(await queued((await startOn(port)).url, 5)).toEqual(references);
  });

  test('by hand, and those of others only on request', async () => {
    const [portA, portB] = [await freePort(), await freePort()];
    const first = await start(urlOf(portA));
    const references = await postMany(first, 5);
    await kill(first);
    const serverB = await startOn(portB);
    const env = { REDIS_URL: serverB.url, SPOOL_DIR: dir };
    const list = await runCli(['spool', 'list', '--json'], env);
    expect(list.out).toContain(`127.0.0.1:${portA}`);
    const left = await runCli(['spool', 'drain', '--json'], env);
    expect(JSON.parse(left.out)).toEqual({ drained: 0, left: 0, untouched: 0, foreign: 1 });
    expect(left.code).toBe(1);
    const doctor = await runCli(['doctor', '--json'], { ...env, PAYALO_API_KEYS: testKey });
    expect(doctor.out).toMatch(/"spool owners","status":"warning"|"name": "spool owners",\s+"status": "warning"/);
    const drained = await runCli(['spool', 'drain', '--any-owner', '--json'], env);
    expect(JSON.parse(drained.out)).toEqual({ drained: 5, left: 0, untouched: 0 });
    expect(await queued(serverB.url, 5)).toEqual(references);
  });
});

test('an unmarked subfolder is not adopted if another deployment uses the same folder', async () => {
  const [portA, portB] = [await freePort(), await freePort()];
  const first = await start(urlOf(portA));
  await postMany(first, 1);
  await kill(first);
  const unmarked = path.dirname(markFile(dir));
  const second = await start(urlOf(portA));
  await until(() => logged(second, 'spool.adopted').length === 1);
  await kill(second);
  rmSync(path.join(unmarked, 'owner.json'));
  // The rest of `second`: a marked subfolder of A. B must not adopt the unmarked one.
  const third = await start(urlOf(portB));
  const serverB = await startOn(portB);
  await until(() => logged(third, 'spool.foreign').length === 2);
  expect(await lengthOf(serverB)).toBe(0);
});

test('a mark holds no user and no password', async () => {
  const port = await freePort();
  await start(`redis://somebody:a-secret-word@127.0.0.1:${port}/2`);
  await until(() => markOf(dir) !== undefined);
  expect(markOf(dir)).not.toMatch(/somebody|secret/);
  expect(JSON.parse(markOf(dir) ?? '')).toEqual({
    servers: [`127.0.0.1:${port}`],
    master: '',
    db: 2,
    queue: '{payalo}:payalo-callbacks',
  });
});

test('a damaged mark counts as missing', async () => {
  const port = await freePort();
  const first = await start(urlOf(port));
  const references = await postMany(first, 2);
  await kill(first);
  writeFileSync(markFile(dir), '{"servers":[');
  await start(urlOf(port));
  expect(await queued((await startOn(port)).url, 2)).toEqual(references);
});

test('an interrupted start leaves nothing behind', async () => {
  const leftover = path.join(dir, 'mfx3k2q1-0a1b2c3d');
  mkdirSync(leftover, { recursive: true });
  writeFileSync(path.join(leftover, 'owner.json'), '{}');
  utimesSync(leftover, 0, 0);
  await start(urlOf(await freePort()));
  await until(() => !existsSync(leftover));
});

describe('is the same deployment', () => {
  const owner = (url: string, queue = 'q') => {
    const parsed = parseRedisUrl(url);
    if (!('target' in parsed)) throw new Error(parsed.problem);
    return ownerOf(parsed.target, { QUEUE_PREFIX: '{p}', QUEUE_NAME: queue });
  };
  test.for([
    ['redis://localhost', 'redis://127.0.0.1:6379/0', true],
    ['redis://user:one@HOST', 'redis://user:two@host', true],
    ['redis://host:1', 'redis://host:2', false],
    ['redis://host/1', 'redis://host/2', false],
    ['redis+sentinel://a,b,c/m', 'redis+sentinel://c,a,b/m', true],
    ['redis+sentinel://a,b,c/m', 'redis+sentinel://c,d,e/m', true],
    ['redis+sentinel://a,b,c/m', 'redis+sentinel://d,e,f/m', false],
    ['redis+sentinel://a,b,c/m', 'redis+sentinel://a,b,c/other', false],
    ['redis+cluster://a,b', 'redis+cluster://b,c', true],
  ] as const)('%s as %s: %s', ([one, other, expected]) => {
    expect(isSameOwner(owner(one), owner(other))).toBe(expected);
    expect(isSameOwner({ ...owner(one), id: '1' }, { ...owner(other), id: '1' })).toBe(true);
    expect(isSameOwner({ ...owner(one), id: '1' }, { ...owner(other, 'other'), id: '1' })).toBe(false);
  });
});

function urlOf(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

async function start(redisUrl: string, env: Record<string, string> = {}): Promise<TestService> {
  const service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: redisUrl, ACK_BUDGET: '1s', SPOOL_DIR: dir, ...env },
  });
  ends.push(() => service[Symbol.asyncDispose]());
  return service;
}

async function kill(service: TestService): Promise<void> {
  service.kill('SIGKILL');
  await service.exited;
}

async function startOn(port: number): Promise<TestRedis> {
  const server = await startRedis({ port });
  ends.push(() => server.stop());
  return server;
}

async function postMany(service: TestService, count: number): Promise<string[]> {
  const references = Array.from({ length: count }, newReference);
  for (const reference of references) {
    const body = callbackBody({ reference });
    const headers = { 'x-api-key': testKey };
    expect((await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body })).status).toBe(200);
  }
  return references;
}

function connect(url: string): Redis {
  const redis = new Redis(url);
  redis.on('error', () => {}); // its server may be stopped first
  ends.push(() => redis.disconnect());
  return redis;
}

async function queued(url: string, count: number, base = '{payalo}:payalo-callbacks'): Promise<string[]> {
  const redis = connect(url);
  await until(async () => (await redis.llen(`${base}:wait`)) >= count, { timeoutMs: 25_000 });
  const references: string[] = [];
  for (const id of (await redis.lrange(`${base}:wait`, 0, -1)).toReversed()) {
    references.push(String(JSON.parse((await redis.hget(`${base}:${id}`, 'data')) ?? '{}').gatewayReference));
  }
  return references;
}

async function lengthOf(server: TestRedis): Promise<number> {
  return connect(server.url).llen('{payalo}:payalo-callbacks:wait');
}

function logged(service: TestService, event: string) {
  return service.logs.filter((line) => line['event'] === event);
}

function markFile(spoolDir: string): string {
  return path.join(spoolDir, globSync('*/owner.json', { cwd: spoolDir })[0] ?? 'none');
}

function markOf(spoolDir: string): string | undefined {
  try {
    return readFileSync(markFile(spoolDir), 'utf8');
  } catch {
    return undefined;
  }
}
