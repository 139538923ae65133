import { freePort } from './private-redis.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { redisServer, startRedis } from './redis.ts';
import { makeTempDir } from './temp-dir.ts';
import { until } from './until.ts';

test('is a Redis with the durable settings of the contract', async () => {
  await using redis = await startRedis();
  const client = new Redis(redis.url);
  const settings = await client.config('GET', 'appendonly', 'appendfsync', 'maxmemory-policy', 'save');
  client.disconnect();
  expect(settings).toEqual(
    expect.arrayContaining([
      'appendonly',
      'yes',
      'appendfsync',
      'always',
      'maxmemory-policy',
      'noeviction',
      'save',
      '',
    ]),
  );
});

test('keeps its data and its port after it is killed and restarted', async () => {
  await using redis = await startRedis();
  const before = new Redis(redis.url);
  await before.set('key', 'kept');
  before.disconnect();
  const { pid } = redis;
  await redis.kill('SIGKILL');
  await redis.restart();
  expect(redis.pid).not.toBe(pid);
  const after = new Redis(redis.url);
  expect(await after.get('key')).toBe('kept');
  after.disconnect();
});

test('answers nothing while it is frozen, and continues when it is thawed', async () => {
  await using redis = await startRedis({ durable: false });
  const client = new Redis(redis.url, { commandTimeout: 200 });
  await client.ping();
  await redis.kill('SIGSTOP');
  await expect(client.ping()).rejects.toThrow('timed out');
  await redis.kill('SIGCONT');
  expect(await client.ping()).toBe('PONG');
  client.disconnect();
});

test('is stopped gracefully even while frozen, and its folder is removed', async () => {
  const redis = await startRedis();
  await redis.kill('SIGSTOP');
  await redis.stop();
  expect(existsSync(redis.dir)).toBe(false);
  expect(isRunning(redis.pid)).toBe(false);
});

test('dies with the process that started it, even if that is killed', async () => {
  const dir = await makeTempDir('orphan');
  const code = `
    import { startPrivateRedis } from ${JSON.stringify(path.resolve('test/support/private-redis.ts'))};
    const redis = await startPrivateRedis({ server: ${JSON.stringify(redisServer())}, dir: ${JSON.stringify(dir)} });
    console.log(redis.pid);
    setInterval(() => undefined, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
  expect(isRunning(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isRunning(pid), { describe: 'the orphaned Redis to be gone' });
});

/** A zombie counts as ended, even if its parent never reaps it (a container without an init). */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self/stat') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('no port is allocated twice, however many are requested at once', async () => {
  const ports = await Promise.all(Array.from({ length: 2_000 }, () => freePort()));
  expect(new Set(ports).size).toBe(2_000);
});

test('no port of a running process is allocated to another one, even before a server listens there', async () => {
  const script = `
    import { freePort } from ${JSON.stringify(path.resolve('test/support/private-redis.ts'))};
    const ports = [];
    for (let count = 0; count < 800; count += 1) ports.push(await freePort());
    console.log(JSON.stringify(ports));
    process.stdin.resume();`;
  const start = () =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  // Sixteen times 800 of 22,000 ports: without claims, many would collide.
  const children = Array.from({ length: 16 }, start);
  const lists = await Promise.all(
    children.map(async (child) => z.array(z.number()).parse(JSON.parse(String(await once(child.stdout, 'data'))))),
  );
  for (const child of children) child.stdin.end();
  const ports = lists.flat();
  expect(new Set(ports).size).toBe(ports.length);
});
