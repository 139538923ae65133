// REDIS_WAIT_REPLICAS on the whole receiver: a real primary, a real replica behind a connection that stalls, and the loss
// of the primary. The same file runs against a current Valkey in test/system/valkey.test.ts: its WAIT counts only the
// connection's own last write, and nothing if a call wrote nothing.
import { Redis } from 'ioredis';
import { afterEach, expect, test, vi } from 'vitest';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const queue = '{payalo}:payalo-callbacks';
const patience = { timeoutMs: 20_000, everyMs: 20 };

vi.setConfig({ testTimeout: 60_000 });

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

test.for([
  // Each callback and each try of the drain uses the next of two connections: the other one's last write is confirmed.
  { count: 1, renewed: false },
  { count: 4, renewed: false },
  { count: 4, renewed: true }, // a new connection wrote nothing yet
])(
  'keeps callbacks in the spool that no replica has, after any number of tries: $count callbacks, connections renewed: $renewed',
  async ({ count, renewed }) => {
    const { primary, replica, link, way, service } = await world();
    link.set({ kind: 'stall' });
    const references = Array.from({ length: count }, newReference);
    for (const reference of references) await post(service, callbackBody({ reference }));
    if (renewed) way.cut();
    await asked(primary, service);
    expect(await spooled(service)).toBe(count);
    await promoteInsteadOf(primary, replica, way);
    expect((await queued(replica, count)).toSorted()).toEqual(references.toSorted());
  },
);

test('acknowledges no duplicate of a callback that only the primary has', async () => {
  const { primary, replica, link, way, service } = await world();
  link.set({ kind: 'stall' });
  const body = callbackBody();
  await post(service, body);
  for (let copy = 0; copy < 4; copy += 1) await post(service, body);
  await asked(primary, service);
  expect(await spooled(service)).toBe(5);
  await promoteInsteadOf(primary, replica, way);
  expect(await queued(replica, 1)).toHaveLength(1);
});

test('empties the spool once the replica has it all, and counts nothing twice on the way', async () => {
  const { primary, replica, link, service } = await world();
  link.set({ kind: 'stall' });
  const reference = newReference();
  for (const copy of [1, 2, 3]) await post(service, callbackBody({ reference, merchantReference: `copy-${copy}` }));
  await asked(primary, service);
  link.set({ kind: 'pass' });
  await until(async () => (await spooled(service)) === 0, patience);
  expect(await queued(replica, 1)).toEqual([reference]);
  const view = await fetch(`${service.opsUrl}/v1/callbacks/${reference}`);
  expect(await view.json()).toMatchObject({ duplicates: 2, conflicts: [] });
});

/** A receiver that asks for one replica, which hears its primary through `link`; the receiver reaches Redis by `way`. */
async function world() {
  const primary = await startRedis();
  const link = await startTcpProxy({ target: primary.port });
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(link.port)] });
  const way = await startTcpProxy({ target: primary.port });
  ends.push(
    () => primary.stop(),
    () => replica.stop(),
    () => link.stop(),
    () => way.stop(),
  );
  await until(
    async () => (await ask(replica, (redis) => redis.info('replication'))).includes('link_status:up'),
    patience,
  );
  const service = await startService({
    roles: ['receive'],
    env: {
      PAYALO_API_KEYS: testKey,
      REDIS_URL: `redis://127.0.0.1:${way.port}`,
      REDIS_WAIT_REPLICAS: '1',
      ACK_BUDGET: '1s',
      SHUTDOWN_TIMEOUT: '1s',
    },
  });
  ends.push(async () => service[Symbol.asyncDispose]());
  // The connections' last writes are confirmed ones: what WAIT counts where a later call writes nothing.
  for (let warm = 0; warm < 4; warm += 1) {
    expect(await post(service, callbackBody({ merchantReference: 'warm' }))).toBe(200);
  }
  await until(async () => (await spooled(service)) === 0, patience);
  return { primary, replica, link, way, service };
}

/** Kills the primary; the replica takes its place, without its own replica. */
async function promoteInsteadOf(primary: TestRedis, replica: TestRedis, way: TcpProxy): Promise<void> {
  await primary.kill('SIGKILL');
  await ask(replica, (redis) => redis.replicaof('NO', 'ONE'));
  way.retarget(replica.port);
  way.cut();
}

/** Waits until replicas were asked for a few times more, or nothing is left to ask for. */
async function asked(primary: TestRedis, service: TestService, times = 3): Promise<void> {
  const count = async () => {
    const stats = await ask(primary, (redis) => redis.info('commandstats'));
    return Number(/cmdstat_wait:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  };
  const before = await count();
  const isDone = async () => (await count()) >= before + times || (await spooled(service)) === 0;
  await until(isDone, { ...patience, describe: 'replicas to be asked for' });
}

async function ask<T>(server: TestRedis, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(server.url);
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

async function post(service: TestService, body: string): Promise<number> {
  const headers = { 'x-api-key': testKey, 'content-type': 'application/json' };
  const response = await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
  return response.status;
}

async function spooled(service: TestService): Promise<number> {
  const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text();
  return Number(/^payalo_spool_entries (\d+)/m.exec(metrics)?.[1]);
}

/** Waits for `count` jobs besides the first four; returns their references. */
async function queued(server: TestRedis, count: number): Promise<string[]> {
  const read = async () =>
    ask(server, async (redis) => {
      const jobs = await Promise.all(
        (await redis.lrange(`${queue}:wait`, 0, -1)).map(async (id) =>
          JSON.parse((await redis.hget(`${queue}:${id}`, 'data')) ?? '{}'),
        ),
      );
      return jobs
        .filter(({ merchantReference }) => merchantReference !== 'warm')
        .map((job) => String(job.gatewayReference));
    });
  return until(
    async () => {
      const references = await read();
      return references.length >= count && references;
    },
    { ...patience, describe: `${count} callbacks in the queue` },
  );
}
