// Deliveries interrupted by a shutdown or a crash: none is lost, and none counts as an attempt.
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { startRedis } from '../support/redis.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { createRig, type Rig } from './rig.ts';

const { server: redis } = await withRedis();

async function startWork(rig: Rig, env: Record<string, string> = {}): Promise<TestService> {
  return startService({
    roles: ['work'],
    env: {
      REDIS_URL: redis.url,
      QUEUE_NAME: rig.queue.name,
      FORWARD_URL: rig.url,
      FORWARD_CONCURRENCY: '10',
      PAYALO_API_KEYS: 'a-key-of-16-characters',
      SHUTDOWN_TIMEOUT: '8s',
      ...env,
    },
  });
}

test(
  'on SIGTERM during 60 deliveries those in flight finish, the rest waits, and each arrives exactly once',
  { timeout: 90_000 },
  async () => {
    await using rig = await createRig(redis);
    rig.merchant.always(answer(200, { delayMs: 100 }));
    await Promise.all(Array.from({ length: 60 }, async () => rig.add()));
    await using first = await startWork(rig);
    await until(() => rig.merchant.uniqueIds().size >= 15);
    expect(await first.stop('SIGTERM')).toMatchObject({ code: 0 });
    const { completed = 0, waiting, active } = await rig.bull.getJobCounts('completed', 'waiting', 'active');
    expect(completed).toBeLessThan(60);
    expect(completed).toBe(rig.merchant.deliveries().length);
    expect({ waiting, active }).toEqual({ waiting: 60 - completed, active: 0 });

    await using second = await startWork(rig);
    await until(async () => (await rig.bull.getCompletedCount()) === 60);
    expect(rig.merchant.deliveries()).toHaveLength(60);
    expect(rig.merchant.deliveries().every(({ headers }) => headers['payalo-attempt'] === '1')).toBe(true);
    expect(await second.stop('SIGINT')).toMatchObject({ code: 0 });
  },
);

test('deliveries that do not end within the deadline go back to the queue uncounted', async () => {
  await using rig = await createRig(redis, { env: { FORWARD_TIMEOUT: '60s', FORWARD_CONCURRENCY: '10' } });
  rig.merchant.always({ kind: 'hang' });
  const { stop } = await rig.start();
  const jobs = await Promise.all(Array.from({ length: 20 }, async () => rig.add()));
  await until(() => rig.merchant.deliveries().length === 10);
  await stop(1_200);
  expect(await rig.bull.getJobCounts('waiting', 'active', 'delayed', 'failed')).toEqual({
    waiting: 20,
    active: 0,
    delayed: 0,
    failed: 0,
  });
  rig.merchant.always(answer(200));
  await rig.start();
  for (const job of jobs) expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
});

test('stopping ends within the deadline even while Redis is frozen', async () => {
  await using own = await startRedis();
  await using rig = await createRig(own);
  const { stop } = await rig.start();
  await rig.settled(await rig.add());
  await own.kill('SIGSTOP');
  const startedAt = performance.now();
  await stop(1_500);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await own.kill('SIGCONT');
});

test(
  'a worker that is killed costs no attempt: its deliveries return to the queue and are made again',
  { timeout: 60_000 },
  async () => {
    await using rig = await createRig(redis);
    rig.merchant.always({ kind: 'hang' });
    const jobs = await Promise.all(Array.from({ length: 10 }, async () => rig.add()));
    await using killed = await startWork(rig, { FORWARD_TIMEOUT: '3s' });
    await until(() => rig.merchant.deliveries().length === 10);
    killed.kill('SIGKILL');
    await killed.exited;
    rig.merchant.always(answer(200));
    await using next = await startWork(rig, { FORWARD_TIMEOUT: '3s' });
    await until(async () => (await rig.bull.getCompletedCount()) === 10, { timeoutMs: 40_000, everyMs: 100 });
    for (const job of jobs) expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
    expect(await next.stop()).toMatchObject({ code: 0 });
  },
);

test('deliveries resume automatically after Redis was killed and restarted', { timeout: 70_000 }, async () => {
  await using own = await startRedis();
  await using rig = await createRig(own, { env: { FORWARD_CONCURRENCY: '5' } });
  rig.merchant.always(answer(200, { delayMs: 20 }));
  await Promise.all(Array.from({ length: 60 }, async () => rig.add()));
  await rig.start();
  await until(() => rig.merchant.uniqueIds().size >= 10);
  await own.kill('SIGKILL');
  await own.restart();
  await until(() => rig.merchant.uniqueIds().size === 60, { timeoutMs: 60_000 }); // those in flight wait for their locks to expire
  expect(await rig.bull.getFailedCount()).toBe(0);
});

test('a Redis that is down, or refuses, is logged once and not at every try', async () => {
  await using own = await startRedis();
  await using rig = await createRig(own);
  await rig.start();
  await rig.settled(await rig.add());
  const troubles = () => rig.logs.filter(({ event }) => event === 'delivery.worker_error').map(({ reason }) => reason);
  let tries = 0;
  rig.bull.on('error', () => undefined);
  rig.connection.on('error', () => (tries += 1));

  await own.kill('SIGKILL');
  await until(() => tries >= 6, { timeoutMs: 20_000 });
  expect(new Set(troubles()).size).toBe(troubles().length);
  expect(rig.output.join('')).not.toContain('"stack"');

  await own.restart();
  await until(() => rig.connection.status === 'ready');
  await rig.settled(await rig.add());
  const before = rig.logs.length;
  const replica = new Redis(own.url);
  await replica.replicaof('127.0.0.1', 1);
  await until(() => troubles().some((reason) => String(reason).startsWith('READONLY')));
  const rejected = async () => Number(/total_error_replies:(\d+)/.exec(await replica.info('stats'))?.[1] ?? 0);
  const rejectedBefore = await rejected();
  await until(async () => (await rejected()) > rejectedBefore + 30, { timeoutMs: 20_000 });
  await replica.replicaof('NO', 'ONE');
  replica.disconnect();
  expect(new Set(troubles()).size).toBe(troubles().length);
  expect(rig.logs.length - before).toBeLessThan(15);
});
