// Everything of a brand goes to another one, once, wherever the move breaks off. A real Redis; the service's own scripts.
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { moveBrand, type MoveDependencies } from '../../src/queue/brand-move.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/queue/brand-queue.ts';
import { isNothing, readHoldings } from '../../src/queue/brand-registry.ts';
import { registerExpectation } from '../../src/queue/expectations.ts';
import { createQuarantineStore } from '../../src/queue/quarantine-store.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';

const dayMs = 86_400_000;
let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis({ durable: false });
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const queueOf = (brand: string, prefix: string) => brandQueue(brand, { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: prefix });

function moveOf(from: BrandQueue, to: BrandQueue, on: Redis = redis): MoveDependencies {
  return {
    redis: on,
    from,
    to,
    confirm: async () => undefined,
    handIn: async () => {
      throw new Error('nothing is claimed twice here');
    },
    merchantTtlMs: dayMs,
    rememberedMs: dayMs,
    claimTtlMs: dayMs,
    patienceMs: 0,
    onProgress: () => undefined,
  };
}

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
  await registerExpectation(redis, queue, { gatewayReference: 'expected', merchantReference: 'order-9' }, 1_000);
  const bounds = { maxBytes: 1_000_000, notBeforeMs: 0 };
  const fields = { brand: queue.brand, reason: 'not-json', body: Buffer.from([0xff, 0x00, 0x7b]) };
  await createQuarantineStore(redis, queue).add(
    { id: 'qraw', atMs: Date.now(), bytes: 3, retainMs: dayMs, fields },
    bounds,
  );
}

/** What a brand holds, its name left out, in an order that does not depend on how it came there. */
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

/** Locks, the lineage, what BullMQ keeps for its own events; the sets of merchants' references are made anew. */
const ofTheMove = /^(\/(lineage|reconciler|mover|retention|m:|brands|mark)|:(events|marker|meta|id|stalled))/;

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

/** Fails from a command on, as the process does that is killed there. */
function breakingAfter(commands: number): Redis {
  let left = commands;
  return new Proxy(redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        left -= 1;
        if (left < 0) return Promise.reject(new Error('killed'));
        return Reflect.apply(value, target, args);
      };
    },
  });
}

describe('brand move', () => {
  test('takes everything along, and leaves nothing but where it went', async () => {
    await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
    await fill(stored);
    const acme = queueOf('acme', stored.prefix);
    const before = await contentsOf(stored.queue);
    expect(Object.keys(before).length).toBeGreaterThan(20);
    expect(await moveBrand(moveOf(stored.queue, acme))).toMatchObject({ kind: 'moved' });
    expect(await contentsOf(acme)).toEqual(before);
    expect(await contentsOf(stored.queue)).toEqual({});
    expect(isNothing(await readHoldings(redis, stored.queue, dayMs))).toBe(true);
    expect(isNothing(await readHoldings(redis, acme, dayMs))).toBe(false);
  });

  test('comes to the same end, wherever it broke off before', { timeout: 240_000 }, async () => {
    let brokeOff = 0;
    for (let commands = 1; ; commands += 1) {
      await using stored = createStoredCallbacks(server.url, 'default', `{${randomUUID()}}`);
      await fill(stored);
      const acme = queueOf('acme', stored.prefix);
      const before = await contentsOf(stored.queue);
      const first = await moveBrand(moveOf(stored.queue, acme, breakingAfter(commands))).catch(() => 'killed');
      await redis.del(keysOf.mover(stored.queue)); // its lease runs out
      expect(await moveBrand(moveOf(stored.queue, acme))).toMatchObject({ kind: 'moved' });
      expect(await contentsOf(acme), `broken off after ${commands} commands`).toEqual(before);
      expect(await contentsOf(stored.queue)).toEqual({});
      if (first !== 'killed') break;
      brokeOff += 1;
    }
    expect(brokeOff).toBeGreaterThan(50);
  });
});
