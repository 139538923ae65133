// The product under test: the real intake, spool, drain, processor and scripts with a real Redis. The clock is simulated:
// it moves only when a command moves it, and the expiry times in Redis move with it.
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as delay } from 'node:timers/promises';
import type { Replaced } from '../../../src/callback/job.ts';
import { parseCallbackText } from '../../../src/callback/parse-callback.ts';
import type { AttemptResult, Delivery } from '../../../src/deliver/attempt.ts';
import { createProcessor, type Returned } from '../../../src/deliver/process-job.ts';
import { createSlots } from '../../../src/deliver/slots.ts';
import { createDrain } from '../../../src/intake/drain.ts';
import { createIntake, toAcceptItem } from '../../../src/intake/intake.ts';
import { createStore, type Store } from '../../../src/intake/redis-store.ts';
import { createSpool } from '../../../src/intake/spool/spool.ts';
import type { AcceptItem } from '../../../src/store/accept/accept-batch.ts';
import { createCallbackIndex } from '../../../src/store/callbacks/callback-index.ts';
import { createDeliveryRecords } from '../../../src/store/callbacks/delivery-records.ts';
import { createClaimKeeper } from '../../../src/store/lifecycle/claim-keeper.ts';
import { createRetention } from '../../../src/store/lifecycle/retention.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { callbackBody } from '../../support/callbacks.ts';
import { startRedis } from '../../support/redis.ts';
import { makeTempDir } from '../../support/temp-dir.ts';
import { confirmWaitMs, retryAfterMs, type Result } from './expected.ts';
import { newQueue } from '../../support/queues.ts';

const hourMs = 3_600_000;
export const times = {
  DEDUP_TTL: 8 * hourMs,
  RETAIN_COMPLETED: 3 * hourMs,
  RETAIN_FAILED: 24 * hourMs,
  RETAIN_COMPLETED_MAX: 1_000,
  QUARANTINE_RETAIN: 12 * hourMs,
};

/** How Redis treats the next call: `unheard` applies it and loses the reply. */
export type RedisMode = 'up' | 'out' | 'unheard';

/** What all sequences of a run share. */
export type Ground = Awaited<ReturnType<typeof prepareGround>>;

export async function prepareGround() {
  const server = await startRedis({ durable: false });
  const log = createLog({ level: 'silent', destination: { write: () => undefined } });
  const spool = createSpool({ dir: await makeTempDir('model'), maxBytes: 67_108_864, log });
  await spool.ready();
  return {
    server,
    log,
    spool,
    metrics: createMetrics(),
    async [Symbol.asyncDispose]() {
      await spool.close();
      await server.stop();
    },
  };
}

export type Real = ReturnType<typeof createReal>;

const callbacks = { kind: 'callback', brand: 'default' } as const;

/** One instance of the product, with its own queue. */
export function createReal({ server, log, spool, metrics }: Ground) {
  const clock = holdClock();
  const redis = new Redis(server.url);
  const workerConnection = new Redis(server.url, { maxRetriesPerRequest: null });
  const queue = newQueue();
  const queues = new Map([['default', queue]]);
  const config = times;
  const confirming = { brands: new Map([['default', { confirm: 'before' as const }]]), CONFIRM_WAIT: confirmWaitMs };
  const store = fickleStore(
    createStore({
      connections: [redis],
      queue,
      settings: { ...times, ...confirming },
      waitReplicas: 0,
      waitTimeoutMs: 0,
    }),
    () => redis.eval(setDelays, 1, `${queue.base}:delayed`, (clock.now() + confirmWaitMs) * 0x1000),
  );
  const settings = { budgetMs: 10_000, spoolBytesMax: 67_108_864 };
  const intake = createIntake({ storeFor: () => store, spool, settings, log });
  const worker = new Worker<unknown, Returned>(queue.name, null, {
    connection: workerConnection,
    prefix: queue.prefix,
  });
  worker.on('error', () => undefined);
  const retention = createRetention({ redis, queues, config, log, now: clock.now });
  const keeper = createClaimKeeper({ redis, queues, config, log });

  return {
    redis,
    queue,
    intake,
    spool,
    store,
    clock,
    worker,
    index: createCallbackIndex({ redis, queues }),
    retain: () => retention.sweep(),

    /** The oldest entries of the spool, as the drain would submit them. */
    async spooled(limit: number) {
      const { entries } = await spool.readBatch(callbacks, limit);
      return entries.map((entry) => {
        const item = toAcceptItem(entry);
        if (item === undefined) throw new TypeError('The spool entry is not a callback.');
        return { entry, item };
      });
    },

    accept(reference: string, result: Result, replaces?: Replaced, source: 'records' | 'callback' = 'callback') {
      const parsed = parseCallbackText(bodyOf(reference, result));
      if (parsed.kind !== 'callback') throw new TypeError('The example is not a callback.');
      const origin = {
        brand: 'default',
        receivedAt: new Date(clock.now()).toISOString(),
        requestId: 'model',
        replaces,
      };
      return intake.accept({
        callback: parsed.callback,
        origin: { ...origin, source: replaces === undefined ? source : 'correction' },
      });
    },

    /** Drains the whole spool, as the service does. */
    async drain(): Promise<number> {
      const drain = createDrain({
        spool,
        submit: (entries) => intake.resubmit(entries),
        confirm: (entries) => intake.confirm(entries),
        submitQuarantine: async () => 'later',
        setAside: async () => 'later',
        log,
      });
      drain.start();
      return drain.stop(20_000);
    },

    /** Creates the processor of one job, as a worker does; its delivery records are written when it stops. */
    processorOf(attempt: (delivery: Delivery) => Promise<AttemptResult>) {
      const records = createDeliveryRecords({ redis, queue, log });
      const process = createProcessor({
        confirmWaitMs: 0,
        queue,
        redis,
        attempt,
        breaker: undefined,
        slots: createSlots(1, ['default']),
        records,
        scheduleMs: retryAfterMs,
        stop: new AbortController().signal,
        log,
        metrics,
        now: clock.now,
        random: () => 0,
      });
      return { process, record: () => records.stop() };
    },

    /** Advances the clock by an hour, for Redis too; then prolongs claims, as the service does each hour. */
    async passHour(): Promise<void> {
      clock.pass(hourMs);
      await redis.eval(passTime, 1, queue.base, `${queue.prefix}*`, hourMs);
      await keeper.keep();
    },

    async [Symbol.asyncDispose]() {
      const left = await spool.readBatch(callbacks, 10_000);
      await spool.remove(callbacks, left);
      await worker.close(true);
      workerConnection.disconnect();
      redis.disconnect();
      clock.release();
      await delay(0);
    },
  };
}

export function bodyOf(reference: string, { status, amount }: Result): string {
  return callbackBody({ reference, status, amount });
}

/** Redis's clock cannot be set, so this shortens every remaining time to live. */
const passTime = `
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
end`;

/** Jobs await confirmation by Redis's clock, which is months or years ahead of the simulated one. */
const setDelays = `
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], redis.call('TIME')[1] * 1000 * 0x1000, '+inf')) do
  redis.call('ZADD', KEYS[1], ARGV[1], id)
end`;

/** A store whose Redis can be down, or can apply a call and lose the reply. */
function fickleStore(store: Store, afterwards: () => Promise<unknown>) {
  let mode: RedisMode = 'up';
  let unheard: AcceptItem[] = [];
  return {
    setMode(next: RedisMode): void {
      mode = next;
      unheard = [];
    },
    /** What Redis has applied since the mode was set, in calls whose reply was lost. */
    unheard: (): readonly AcceptItem[] => unheard,
    async batch(items: Parameters<Store['batch']>[0]) {
      if (mode === 'out') throw new Error('Connection is closed.');
      const answer = await store.batch(items);
      await afterwards();
      if (mode === 'up') return answer;
      unheard.push(...items);
      throw new Error('Command timed out');
    },
    look: (items: Parameters<Store['look']>[0]) => store.look(items),
    reset: () => undefined,
  };
}

/** `Date.now` of this process does not advance between commands. */
function holdClock() {
  const original = Date.now;
  let nowMs = Date.UTC(2026, 0, 1);
  const now = () => nowMs;
  Date.now = now;
  return {
    now,
    pass(ms: number): void {
      nowMs += ms;
    },
    release(): void {
      Date.now = original;
    },
  };
}
