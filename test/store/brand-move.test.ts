// Moves everything of a brand to another one, once, wherever the move is interrupted. A real Redis; the service's own scripts.
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { moveBrand } from '../../src/store/brands/brand-move.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { isNothing, readHoldings } from '../../src/store/brands/brand-registry.ts';
import { followDeliveries } from '../../src/store/callbacks/delivery-records.ts';
import { registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { pauseForwarding, readForwarding } from '../../src/store/lifecycle/forwarding.ts';
import { findClaims } from '../../src/store/callbacks/find-claims.ts';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { createQuarantineStore } from '../../src/store/quarantine/quarantine-store.ts';
import { moveOf } from '../support/brand-moves.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const dayMs = 86_400_000;
const { server, redis } = await withRedis({ durable: false });

const queueOf = (brand: string, prefix: string) => brandQueue(brand, { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: prefix });

/** A callback in each state, conflicts, an entry in quarantine, an expectation. */
async function fill(stored: StoredCallbacks): Promise<void> {
  const { queue } = stored;
  const delivered = await stored.store({ merchantReference: 'order-1' });
  await stored.deliver();
  await stored.store();
  await stored.fail();
  await stored.store();
  await stored.retryLater(Date.now() + 60_000);
  await stored.store({ status: 'reversed' });
  await stored.store({ merchantReference: 'order-1' });
  await stored.store({ reference: delivered, merchantReference: 'order-1', status: 'failed' });
  await stored.store();
  await redis.del(...(await redis.keys(`${queue.base}:*.*:lock`)), `${queue.base}/none`);
  await followDeliveries(redis, queue, { all: true }); // as the service does every few seconds
  await registerExpectation(redis, queue, { gatewayReference: 'expected', merchantReference: 'order-9' }, 1_000);
  const bounds = { maxBytes: 1_000_000, notBeforeMs: 0 };
  const fields = { brand: queue.brand, reason: 'not-json', body: Buffer.from([0xff, 0x00, 0x7b]) };
  await createQuarantineStore(redis, queue).add(
    { id: 'qraw', atMs: Date.now(), bytes: 3, retainMs: dayMs, fields },
    bounds,
  );
}

/** A brand's data without its name, in a deterministic order. */
async function contentsOf(queue: BrandQueue): Promise<Record<string, unknown>> {
  const keys = (await redis.keys(`${queue.base}[:/]*`)).toSorted();
  const contents: Record<string, unknown> = {};
  for (const key of keys) {
    const name = key.slice(queue.base.length);
    if (ofTheMove.test(name)) continue;
    contents[name] = await read(key);
  }
  return contents;
}

/** Locks, the lineage, what BullMQ keeps for its own events; the sets of merchants' references are recreated. */
const ofTheMove = /^(\/(lineage|reconciler|mover|retention|m:|brands|mark|followed)|:(events|marker|meta|id|stalled))/;

async function read(key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'hash': {
      const hash = await redis.hgetall(key);
      return Object.fromEntries(
        Object.entries(hash)
          .map(([field, value]) => [field, field === 'brand' ? '' : withoutBrand(value)])
          .toSorted(),
      );
    }
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES');
    case 'list':
      return (await redis.lrange(key, 0, -1)).map(withoutBrand);
    case 'set':
      return (await redis.smembers(key)).toSorted();
    default:
      return redis.get(key);
  }
}

function withoutBrand(text: string): unknown {
  if (!text.startsWith('{"version":1')) return text;
  const { brand: _, identityBrand: __, ...rest } = JSON.parse(text);
  return rest;
}

/** Fails permanently from a chosen call on, like a process that is killed there. */
function breaking(isReached: (args: readonly unknown[]) => boolean): Redis {
  let isBroken = false;
  return new Proxy(redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        isBroken ||= isReached(args);
        return isBroken ? Promise.reject(new Error('killed')) : Reflect.apply(value, target, args);
      };
    },
  });
}

function breakingAfter(commands: number): Redis {
  let left = commands;
  return breaking(() => {
    left -= 1;
    return left < 0;
  });
}

describe('brand move', () => {
  test('moves everything, and leaves only where it went', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    await fill(stored);
    const acme = queueOf('acme', stored.prefix);
    const before = await contentsOf(stored.queue);
    expect(Object.keys(before).length).toBeGreaterThan(20);
    expect(await moveBrand(moveOf(redis, stored.queue, acme))).toMatchObject({ kind: 'moved' });
    expect(await contentsOf(acme)).toEqual(before);
    expect(await contentsOf(stored.queue)).toEqual({});
    expect(isNothing(await readHoldings(redis, stored.queue, dayMs))).toBe(true);
    expect(isNothing(await readHoldings(redis, acme, dayMs))).toBe(false);
  });

  test('reaches the same result wherever it was interrupted', { timeout: 240_000 }, async () => {
    let brokeOff = 0;
    for (let commands = 1; ; commands += 3) {
      await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
      await fill(stored);
      const acme = queueOf('acme', stored.prefix);
      const before = await contentsOf(stored.queue);
      const first = await moveBrand(moveOf(breakingAfter(commands), stored.queue, acme)).catch(() => 'killed');
      await redis.del(keysOf.mover(stored.queue)); // its lease runs out
      expect(await moveBrand(moveOf(redis, stored.queue, acme))).toMatchObject({ kind: 'moved' });
      expect(await contentsOf(acme), `broken off after ${commands} commands`).toEqual(before);
      expect(await contentsOf(stored.queue)).toEqual({});
      if (first !== 'killed') break;
      brokeOff += 1;
    }
    expect(brokeOff).toBeGreaterThan(20);
  });

  test('does not recreate a job that was delivered and removed in the new queue before the next run', async () => {
    for (let commands = 1; ; commands += 1) {
      await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
      const reference = await stored.store();
      const acme = queueOf('acme', stored.prefix);
      const first = await moveBrand(moveOf(breakingAfter(commands), stored.queue, acme)).catch(() => 'killed');
      expect(first, 'the break between putting in and removing').toBe('killed');
      const [jobId] = await redis.lrange(`${acme.base}:wait`, 0, -1);
      const isStillThere = (await redis.hlen(keysOf.moving(stored.queue))) > 0;
      if (jobId === undefined || !isStillThere) continue;
      await redis.del(`${acme.base}:wait`, `${acme.base}:${jobId}`); // a worker with removeOnComplete
      await redis.del(keysOf.mover(stored.queue));
      expect(await moveBrand(moveOf(redis, stored.queue, acme))).toMatchObject({ kind: 'moved' });
      expect(await redis.llen(`${acme.base}:wait`)).toBe(0);
      const callbackIndex = createCallbackIndex({ redis, queues: new Map([['acme', acme]]) });
      expect(await callbackIndex.find(reference)).toBeDefined();
      break;
    }
  });

  test('does not treat a callback as removed whose claim arrives before its job', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    const reference = await stored.store();
    await using there = createStoredCallbacks(server.url, 'acme', stored.prefix);
    const acme = there.queue;
    const atJobs = breaking(([key]) => key === `${acme.base}:wait`);
    await expect(moveBrand(moveOf(atJobs, stored.queue, acme))).rejects.toThrow('killed');
    expect(await redis.keys(`${acme.base}/c:*`)).toHaveLength(1);
    expect(await redis.llen(`${acme.base}:wait`)).toBe(0);
    const [claim] = await findClaims(redis, acme, [{ gatewayReference: reference, kind: 'terminal' }]);
    await there.store({ reference, source: 'records', insteadOf: claim?.nonce });
    expect(await redis.llen(`${acme.base}:wait`)).toBe(0);
    await redis.del(keysOf.mover(stored.queue));
    expect(await moveBrand(moveOf(redis, stored.queue, acme))).toMatchObject({ kind: 'moved' });
    expect(await redis.llen(`${acme.base}:wait`)).toBe(1);
    expect(await redis.exists(keysOf.incoming(acme))).toBe(0);
  });

  test('remembers deliveries of which only the old queue’s events tell', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    const reference = await stored.store();
    const job = await stored.take();
    await job.moveToCompleted('done', 'token', false);
    await job.remove(); // a worker with removeOnComplete
    await using there = createStoredCallbacks(server.url, 'acme', stored.prefix);
    expect(await moveBrand(moveOf(redis, stored.queue, there.queue))).toMatchObject({ kind: 'moved' });
    const callbackIndex = createCallbackIndex({ redis, queues: there.queues });
    expect((await callbackIndex.find(reference))?.callback.state).toBe('delivered');
  });

  test('waits for a delivery in flight, and reports it as left if that takes too long', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    await stored.store();
    const job = await stored.take();
    const acme = queueOf('acme', stored.prefix);
    const move = moveOf(redis, stored.queue, acme);
    expect(await moveBrand(move)).toMatchObject({ kind: 'left', left: { undelivered: 1 } });
    const again = moveBrand({ ...move, patienceMs: 10_000 });
    await until(async () => (await redis.exists(keysOf.mover(stored.queue))) === 1);
    await job.moveToCompleted({ at: Date.now(), status: 200, ms: 12, attempt: 1 }, 'token', false);
    expect(await again).toMatchObject({ kind: 'moved', moved: { jobs: 1 } });
    expect(await redis.zcard(`${acme.base}:completed`)).toBe(1);
  });

  test('moves a pause before any job', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    await stored.store();
    await pauseForwarding(redis, stored.queue);
    const acme = queueOf('acme', stored.prefix);
    expect(await moveBrand(moveOf(redis, stored.queue, acme))).toMatchObject({ kind: 'moved', paused: true });
    expect(await readForwarding(redis, acme)).toMatchObject({ paused: true });
    expect(await redis.zcard(`${acme.base}:marker`)).toBe(0);
  });
});
