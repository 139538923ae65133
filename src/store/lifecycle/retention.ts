// Retention: removes finished jobs past RETAIN_COMPLETED, RETAIN_COMPLETED_MAX and RETAIN_FAILED, in bounded batches.
//
// Promises: no single clock decides; only finished jobs are removed, never one that waits or is being delivered; the claim
// stays, and from then on answers for the job (its state and when it was delivered). Runs hourly in one of all processes, and
// at once in any that sees more than RETAIN_COMPLETED_MAX. Does not use BullMQ's own `clean`, which does not know the index. A
// sweep that fails is logged and tried again a minute later.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { Config } from '../../config/config.ts';
import type { Log } from '../../telemetry/log.ts';
import { keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { deliveryRecordLua, followDeliveries } from '../callbacks/delivery-records.ts';
import { agreedNowMs } from '../../redis/agreed-time.ts';
import { createJobReader } from '../callbacks/read-callbacks.ts';
import { stateOf } from '../callbacks/callback-view.ts';
import { defineScript } from '../../redis/script.ts';
import { forgetExpired } from './forget-expired.ts';
import { retire } from './retire.ts';
import { createRounds } from '../../redis/rounds.ts';

export interface RetentionDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly config: Pick<Config, 'DEDUP_TTL' | 'RETAIN_COMPLETED' | 'RETAIN_COMPLETED_MAX' | 'RETAIN_FAILED'>;
  readonly log: Log;
  /** Defaults to the time that both clocks agree on. */
  readonly now?: () => number | Promise<number>;
}

export interface Swept {
  readonly completed: number;
  readonly failed: number;
  readonly indexEntries: number;
}

const tickMs = 60_000;
const everyMs = 3_600_000;
type RetiredSet = 'completed' | 'failed' | 'held';

/** Redis serves nobody else while a batch is removed. */
const batchMax = 100;
const trimStep = 500;
/** Per part and sweep; the next sweep continues from there. */
const trimStepsMax = 400;

const readScript = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const trimEntries = defineScript({
  lua: deliveryRecordLua + readScript('./trim-index.lua'),
  keyCount: 2,
  reply: z.tuple([z.string(), z.number()]),
});

export function createRetention({ redis, queues, config, log, ...given }: RetentionDeps) {
  const { now = async () => agreedNowMs(redis, Date.now()) } = given;
  const readJobs = createJobReader(redis);
  const trimCursors = new Map<string, string>();

  /** Removes what is past its time or over the limit. */
  async function sweepBrand(queue: BrandQueue): Promise<Swept> {
    const nowMs = await now();
    const byAge = await retireUpTo(queue, 'completed', nowMs - config.RETAIN_COMPLETED);
    const byCount = await retireSurplus(queue);
    const failed = await retireUpTo(queue, 'failed', nowMs - config.RETAIN_FAILED);
    const held = await retireUpTo(queue, 'held', nowMs - config.RETAIN_FAILED);
    await forgetExpired(redis, queue, nowMs - Math.max(config.DEDUP_TTL, config.RETAIN_FAILED));
    return { completed: byAge + byCount, failed: failed + held, indexEntries: await trimIndex(queue) };
  }

  async function retireUpTo(queue: BrandQueue, set: RetiredSet, upToMs: number): Promise<number> {
    let removed = 0;
    while (!rounds.isStopping()) {
      const ids = await redis.zrangebyscore(placeOf(queue, set), '-inf', upToMs, 'LIMIT', 0, batchMax);
      if (ids.length === 0) break;
      removed += await retireBatch(queue, set, ids, upToMs);
    }
    return removed;
  }

  async function retireSurplus(queue: BrandQueue): Promise<number> {
    const key = `${queue.base}:completed`;
    let removed = 0;
    for (let surplus = await surplusOf(queue); surplus > 0 && !rounds.isStopping(); surplus -= batchMax) {
      const oldest = await redis.zrange(key, '0', String(Math.min(surplus, batchMax) - 1), 'WITHSCORES');
      const ids = oldest.filter((_, at) => at % 2 === 0);
      if (ids.length === 0) break;
      removed += await retireBatch(queue, 'completed', ids, Number(oldest.at(-1)));
    }
    return removed;
  }

  async function surplusOf({ base }: BrandQueue): Promise<number> {
    return (await redis.zcard(`${base}:completed`)) - config.RETAIN_COMPLETED_MAX;
  }

  async function retireBatch(
    queue: BrandQueue,
    set: RetiredSet,
    ids: readonly string[],
    upToMs: number,
  ): Promise<number> {
    const records = await readJobs(queue, ids, { withLogs: false });
    const endOf = { completed: 'delivered', failed: 'failed', held: 'held' } as const;
    return retire(redis, queue, records, {
      place: placeOf(queue, set),
      upToMs,
      stateOf: (record) => (record.place === 'gone' ? endOf[set] : stateOf(record)),
    });
  }

  async function trimIndex(queue: BrandQueue): Promise<number> {
    let removed = 0;
    await followDeliveries(redis, queue, { all: true }); // else a fresh delivery would count as removed
    for (const part of indexParts) {
      const key = keysOf.index(queue, part);
      const keys = [key, keysOf.inHand(queue)];
      for (let step = 0; step < trimStepsMax && !rounds.isStopping(); step += 1) {
        const cursor = trimCursors.get(key) ?? '0';
        const [next, gone] = await trimEntries(redis, keys, [queue.base, cursor, trimStep]);
        trimCursors.set(key, next);
        removed += gone;
        if (next === '0') break;
      }
    }
    return removed;
  }

  /** All brands, due or not. */
  async function sweep(): Promise<Swept> {
    const total = { completed: 0, failed: 0, indexEntries: 0 };
    for (const queue of queues.values()) {
      const swept = await sweepBrand(queue);
      total.completed += swept.completed;
      total.failed += swept.failed;
      total.indexEntries += swept.indexEntries;
    }
    return total;
  }

  async function sweepIfDue(): Promise<void> {
    for (const queue of queues.values()) {
      const isDue = (await redis.set(keysOf.retention(queue), process.pid, 'PX', everyMs, 'NX')) === 'OK';
      if (isDue) {
        const swept = await sweepBrand(queue).catch(async (cause: unknown) => {
          await redis.del(keysOf.retention(queue));
          throw cause;
        });
        log.info({ event: 'retention.swept', brand: queue.brand, ...swept });
      } else if ((await surplusOf(queue)) > 0) {
        log.info({ event: 'retention.surplus_removed', brand: queue.brand, completed: await retireSurplus(queue) });
      }
    }
  }

  const rounds = createRounds({
    redis,
    everyMs: tickMs,
    round: sweepIfDue,
    onError: (error) => log.warn({ event: 'retention.failed', err: error }),
  });

  return { sweep, start: rounds.start, stop: rounds.stop };
}

export type Retention = ReturnType<typeof createRetention>;

function placeOf(queue: BrandQueue, set: RetiredSet): string {
  return set === 'held' ? keysOf.held(queue) : `${queue.base}:${set}`;
}
