// What a connection tells of its ups and downs.
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createRedis, createWriteGathering, renewConnection } from '../../src/queue/connections.ts';
import { parseRedisUrl } from '../../src/runtime/redis-url.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

function tellingConnection(url: string) {
  const events: unknown[] = [];
  const keep = (fields: object) => events.push(Reflect.get(fields, 'event'));
  const parsed = parseRedisUrl(url);
  if ('problem' in parsed) throw new Error(parsed.problem);
  const connection = createRedis(parsed.target, { kind: 'worker' }, 'test', { info: keep, warn: keep });
  return { connection, events };
}

test('closing a connection, or making it anew, is no news', async () => {
  await using redis = await startRedis({ durable: false });
  const { connection, events } = tellingConnection(redis.url);
  await once(connection, 'ready');
  renewConnection(connection);
  await once(connection, 'ready');
  const ended = once(connection, 'end');
  connection.disconnect();
  await ended;
  expect(events).toEqual(['redis.connected']);
});

test('a Redis that goes and comes back is said once each', async () => {
  await using redis = await startRedis();
  const { connection, events } = tellingConnection(redis.url);
  await once(connection, 'ready');
  let tries = 0;
  connection.on('error', () => (tries += 1));
  await redis.kill('SIGKILL');
  await until(() => tries >= 3);
  await redis.restart();
  await once(connection, 'ready');
  expect(events).toEqual(['redis.connected', 'redis.down', 'redis.up']);
  connection.disconnect();
});

test('commands of one turn are held back to its end where they are gathered, and answered; the next ones are not', async () => {
  await using redis = await startRedis({ durable: false });
  const connection = new Redis(redis.url, { lazyConnect: true });
  const gatherWrites = createWriteGathering(connection);
  gatherWrites(); // with no connection there is nothing to hold back
  await connection.connect();
  const sendThree = () => {
    const answers = Promise.all(['a', 'b', 'c'].map(async (key) => connection.incr(key)));
    return { heldBackBytes: connection.stream.writableLength, answers };
  };

  expect(sendThree().heldBackBytes).toBe(0);
  gatherWrites();
  gatherWrites();
  const gathered = sendThree();
  expect(gathered.heldBackBytes).toBeGreaterThan(0);
  expect(await gathered.answers).toEqual([2, 2, 2]);
  expect(sendThree().heldBackBytes).toBe(0);
  connection.disconnect();
});
