// The log events of a connection's outages.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { createRedis, createWriteGathering, renewConnection, type RedisProfile } from '../../src/redis/connections.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { startRedis } from '../support/redis.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

function tellingConnection(url: string, profile: RedisProfile = { kind: 'worker' }) {
  const events: unknown[] = [];
  const keep = (fields: object) => events.push(Reflect.get(fields, 'event'));
  const parsed = parseRedisUrl(url);
  if ('problem' in parsed) throw new Error(parsed.problem);
  const connection = createRedis(parsed.target, profile, 'test', { info: keep, warn: keep });
  return { connection, events };
}

test('closing or renewing a connection is not logged', async () => {
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

test('an outage of Redis and its end are logged once each', async () => {
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

const profiles: RedisProfile[] = [{ kind: 'worker' }, { kind: 'producer', commandTimeoutMs: 1_000 }];
/** What a client finds at the address of Redis during an outage. */
const outages = ['resets every connection', 'closes every connection', 'accepts and says nothing'] as const;

async function startOutage(outage: (typeof outages)[number], proxy: TcpProxy, redisPort: number) {
  if (outage === 'accepts and says nothing') proxy.set({ kind: 'stall' });
  if (outage === 'resets every connection') proxy.set({ kind: 'close' });
  if (outage !== 'closes every connection') return () => proxy.set({ kind: 'pass' });
  // With a FIN, as a load balancer without servers does: the client gets no error.
  const polite = createServer((socket) =>
    socket
      .on('error', () => {})
      .resume()
      .end(),
  );
  polite.listen(0, '127.0.0.1');
  await once(polite, 'listening');
  const address = polite.address();
  proxy.retarget(typeof address === 'object' && address !== null ? address.port : 0);
  proxy.cut();
  return () => {
    proxy.retarget(redisPort);
    polite.close();
  };
}

describe.for(profiles)(
  'something before Redis, as a $kind sees it,',
  { timeout: 90_000, concurrent: true },
  (profile) => {
    test.for(outages)('that %s is an outage: logged once, and so is its end', async (outage) => {
      await using redis = await startRedis({ durable: false });
      const proxy = await startTcpProxy({ target: redis.port });
      const { connection, events } = tellingConnection(`redis://127.0.0.1:${proxy.port}`, profile);
      await once(connection, 'ready');
      let closes = 0;
      connection.on('close', () => (closes += 1));
      const end = await startOutage(outage, proxy, redis.port); // this test sends nothing meanwhile
      const isSaid = () => events.includes('redis.down') && (outage.startsWith('accepts') || closes >= 3);
      await until(isSaid, { timeoutMs: 50_000, describe: 'the outage' });
      end();
      await until(() => events.includes('redis.up'), { timeoutMs: 20_000, describe: 'its end' });
      expect(events).toEqual(['redis.connected', 'redis.down', 'redis.up']);
      connection.disconnect();
      await proxy.stop();
    });

    test.for(outages)('that %s from the beginning is one as well', async (outage) => {
      await using redis = await startRedis({ durable: false });
      const proxy = await startTcpProxy({ target: redis.port });
      const end = await startOutage(outage, proxy, redis.port);
      const { connection, events } = tellingConnection(`redis://127.0.0.1:${proxy.port}`, profile);
      await until(() => events.includes('redis.down'), { timeoutMs: 50_000, describe: 'the outage' });
      end();
      await until(() => events.includes('redis.up'), { timeoutMs: 20_000, describe: 'its end' });
      expect(events).toEqual(['redis.down', 'redis.up']);
      connection.disconnect();
      await proxy.stop();
    });
  },
);

test('the commands of one turn are gathered until its end, and answered; later ones are not held back', async () => {
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
