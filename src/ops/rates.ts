// The last hour by minute: how many callbacks were received, delivered, retried, failed, and waiting. For the console's
// charts, over all processes.
//
// Every few seconds each process adds the growth of its counters to one small hash in Redis; older minutes are removed. Costs
// one short pipeline per flush and nothing per callback. While Redis is down the growth is kept here.
import type { BrandQueue } from '../redis/brand-queue.ts';
import { keysOf } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { createRounds } from '../redis/rounds.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ReadQueueState } from './queue-state.ts';

const rateNames = ['received', 'delivered', 'retried', 'failed'] as const;
export type RateName = (typeof rateNames)[number];

export interface Rates {
  /** Minutes since the epoch, oldest first; the last one is not over yet. */
  readonly minutes: readonly number[];
  readonly counts: Readonly<Record<RateName, readonly number[]>>;
  /** At the end of each minute; undefined if nobody looked. */
  readonly waiting: readonly (number | undefined)[];
}

export const rateMinutes = 60;
const flushEveryMs = 5_000;
const ttlMs = 2 * 3_600_000;
const minuteMs = 60_000;

export interface RatesDeps {
  readonly redis: RedisConnection;
  /** Holds the counts of all brands. */
  readonly queue: BrandQueue;
  readonly queueState: ReadQueueState;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly now?: () => number;
}

export function createRates({ redis, queue, queueState, metrics, log, now = Date.now }: RatesDeps) {
  const key = keysOf.rates(queue);
  let flushed: Record<RateName, number> = { received: 0, delivered: 0, retried: 0, failed: 0 };
  let trimmedAt = 0;

  async function totals(): Promise<Record<RateName, number>> {
    const [callbacks, deliveries] = await Promise.all([metrics.callbacks.get(), metrics.deliveries.get()]);
    const delivery = (outcome: string) => sumOf(deliveries.values.filter(({ labels }) => labels.outcome === outcome));
    return {
      received: sumOf(callbacks.values.filter(({ labels }) => kept.has(String(labels.outcome)))),
      delivered: delivery('delivered'),
      retried: delivery('retried'),
      failed: delivery('failed'),
    };
  }

  async function flush(): Promise<void> {
    const current = await totals();
    const minute = Math.floor(now() / minuteMs);
    const { jobs } = await queueState();
    const pipeline = redis.pipeline();
    for (const name of rateNames) {
      const gained = current[name] - flushed[name];
      if (gained > 0) pipeline.hincrby(key, `${minute}:${name}`, gained);
    }
    pipeline.hset(key, `${minute}:waiting`, jobs.queued + jobs.retrying);
    pipeline.pexpire(key, ttlMs);
    const results = await pipeline.exec();
    const failure = results?.find(([error]) => error !== null)?.[0];
    if (failure) throw failure;
    flushed = current;
    if (minute > trimmedAt) await trim(minute);
    trimmedAt = minute;
  }

  /** Removes minutes that left the window. */
  async function trim(minute: number): Promise<void> {
    const fields = await redis.hkeys(key);
    const old = fields.filter((field) => Number.parseInt(field, 10) <= minute - rateMinutes);
    if (old.length > 0) await redis.hdel(key, ...old);
  }

  const rounds = createRounds({
    redis,
    everyMs: flushEveryMs,
    round: flush,
    onError: (error) => log.debug({ event: 'rates.not_flushed', err: error }),
  });

  return {
    start: rounds.start,

    async stop(): Promise<void> {
      await rounds.stop();
      await rounds.run();
    },

    /** Adds the counters' growth since the last call. Never throws. */
    flush: rounds.run,

    /** Includes this process's counts up to now; those of others up to their last flush. */
    async read(): Promise<Rates> {
      await rounds.run();
      const fields = await redis.hgetall(key);
      const current = Math.floor(now() / minuteMs);
      const minutes = Array.from({ length: rateMinutes }, (_, at) => current - rateMinutes + 1 + at);
      const series = (name: string) => minutes.map((minute) => fields[`${minute}:${name}`]);
      const counts = (name: RateName) => series(name).map((text) => Number(text ?? 0));
      return {
        minutes,
        counts: {
          received: counts('received'),
          delivered: counts('delivered'),
          retried: counts('retried'),
          failed: counts('failed'),
        },
        waiting: series('waiting').map((text) => (text === undefined ? undefined : Number(text))),
      };
    },
  };
}

export type RateKeeper = ReturnType<typeof createRates>;

/** The outcomes of genuine callbacks that were accepted. */
const kept: ReadonlySet<string> = new Set(['accepted', 'duplicate', 'conflict', 'spooled']);

function sumOf(values: readonly { readonly value: number }[]): number {
  return values.reduce((sum, { value }) => sum + value, 0);
}
