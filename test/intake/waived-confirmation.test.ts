// REDIS_WAIT_REPLICAS while no replica confirms, with a spool too small for all waiting callbacks: refusing callbacks would
// lose them although the primary has them.
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { createIntake } from '../../src/intake/intake.ts';
import { createStore } from '../../src/intake/redis-store.ts';
import { createSpool } from '../../src/intake/spool/spool.ts';
import type { BrandQueue } from '../../src/redis/brand-queue.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { callbackOf } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { newQueue } from '../support/queues.ts';

const { redis } = await withRedis({ durable: false });
let queue: BrandQueue;
let logged: Record<string, unknown>[];

beforeEach(() => {
  queue = newQueue();
  logged = [];
});

const waived = () => logged.filter(({ event }) => event === 'intake.confirmation_waived').map(({ reason }) => reason);

test('are spooled until the spool is half full; from then on the primary alone counts, and that is logged', async () => {
  const dir = await makeTempDir('half-full');
  await using way = await openIntake(path.join(dir, 'spool'), 20_000);
  const outcomes: string[] = [];
  while (outcomes.at(-1) !== 'queued' && outcomes.length < 100) outcomes.push(await way.accept());
  expect(outcomes.length).toBeGreaterThan(3);
  expect(new Set(outcomes.slice(0, -1))).toEqual(new Set(['spooled']));
  expect(way.spool.stats().bytes).toBeGreaterThan(10_000);
  expect(waived()).toEqual(['the spool is half full']);
  expect(await redis.llen(`${queue.base}:wait`)).toBe(outcomes.length);
  rmSync(dir, { recursive: true });
});

test('count with the primary alone if the spool takes nothing, and that is logged', async () => {
  const dir = await makeTempDir('no-spool');
  writeFileSync(path.join(dir, 'spool'), 'a file stands where the folder should');
  await using way = await openIntake(path.join(dir, 'spool'), 20_000);
  expect(await way.accept()).toBe('queued');
  expect(waived()).toEqual(['the spool cannot take it']);
  expect(await redis.llen(`${queue.base}:wait`)).toBe(1);
  rmSync(dir, { recursive: true });
});

/** Intake into a primary without replicas, although one replica must confirm. */
async function openIntake(dir: string, spoolBytesMax: number) {
  const log = createLog({ level: 'info', destination: { write: (line) => void logged.push(JSON.parse(line)) } });
  const spool = createSpool({ dir, maxBytes: spoolBytesMax, log });
  await spool.ready();
  const settings = { DEDUP_TTL: 60_000, RETAIN_COMPLETED: 1, RETAIN_FAILED: 60_000, QUARANTINE_RETAIN: 60_000 };
  const waiting = { waitReplicas: 1, waitTimeoutMs: 20 };
  const intake = createIntake({
    storeFor: () => createStore({ connections: [redis], queue, settings, ...waiting }),
    spool,
    settings: { budgetMs: 2_000, spoolBytesMax },
    log,
  });
  return {
    spool,
    async accept() {
      const origin = {
        brand: 'default',
        source: 'callback',
        receivedAt: new Date().toISOString(),
        requestId: 'r',
      } as const;
      return (await intake.accept({ callback: callbackOf(), origin })).kind;
    },
    [Symbol.asyncDispose]: () => spool.close(),
  };
}
