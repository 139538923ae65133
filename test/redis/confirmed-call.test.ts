// The mechanism of REDIS_WAIT_REPLICAS, with a real primary and a real replica.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createConfirmedCall } from '../../src/redis/confirmed-call.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';

const script = { lua: "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]", keyCount: 1 };

const { server: primary, redis } = await withRedis();
let replica: TestRedis;
let ofReplica: Redis;

beforeAll(async () => {
  replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
  ofReplica = new Redis(replica.url);
  await until(async () => (await ofReplica.info('replication')).includes('master_link_status:up'));
});

afterAll(async () => {
  ofReplica.disconnect();
  await replica.stop();
});

test('confirms what a replica has', async () => {
  const call = createConfirmedCall(redis, script, { replicas: 1, timeoutMs: 5_000 });
  expect(await call(['a', '1'])).toEqual({ result: '1', confirmed: true });
  expect(await ofReplica.get('a')).toBe('1');
});

test('reports if more replicas are required than exist, and writes anyway', async () => {
  const call = createConfirmedCall(redis, script, { replicas: 2, timeoutMs: 20 });
  expect(await call(['b', '1'])).toEqual({ result: '1', confirmed: false });
  expect(await redis.get('b')).toBe('1');
});

test('counts a replica that keeps no append-only file, too', async () => {
  await using forgetful = await startRedis({
    durable: false,
    args: ['--replicaof', '127.0.0.1', String(primary.port)],
  });
  const client = new Redis(forgetful.url);
  await until(async () => (await client.info('replication')).includes('master_link_status:up'));
  client.disconnect();
  const call = createConfirmedCall(redis, script, { replicas: 2, timeoutMs: 500 });
  expect((await call(['f', '1'])).confirmed).toBe(true);
});

test('notices when replicas come back', async () => {
  const call = createConfirmedCall(redis, script, { replicas: 1, timeoutMs: 200 });
  await replica.kill('SIGSTOP');
  expect((await call(['c', '1'])).confirmed).toBe(false);
  await replica.kill('SIGCONT');
  await until(async () => (await call(['c', '2'])).confirmed);
});

test('waits for the write, not for an earlier one, even if the server lost the script', async () => {
  const call = createConfirmedCall(redis, script, { replicas: 1, timeoutMs: 200 });
  expect((await call(['d', '1'])).confirmed).toBe(true);
  await redis.script('FLUSH');
  await replica.kill('SIGSTOP');
  const answer = await call(['d', '2']);
  await replica.kill('SIGCONT');
  expect(answer).toEqual({ result: '2', confirmed: false });
});

test('throws what the server refuses', async () => {
  const call = createConfirmedCall(
    redis,
    { lua: "return redis.error_reply('OOM no memory')", keyCount: 1 },
    { replicas: 1, timeoutMs: 200 },
  );
  await expect(call(['e', '1'])).rejects.toThrow('OOM');
});
