// Finds jobs that are in none of BullMQ's places, and puts them back. Nobody would deliver them, although their bodies exist: a
// power failure tore their ids out of a list (Redis loads a torn file without an error), or another program removed them.
//
// Promises: looks whenever a connection is new, whenever the index holds more jobs than the queue's places, and every hour; a
// job is put back in one step, or not at all if it is in a place by then. A round that fails is logged and tried again.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { Log } from '../../telemetry/log.ts';
import { bullKeys, keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { createRounds } from '../../redis/rounds.ts';
import { defineScript } from '../../redis/script.ts';
import { createInState } from '../callbacks/in-state.ts';
import { countMissing } from '../callbacks/removed-jobs.ts';
import { requeueLua } from '../confirmation/requeue.ts';

export interface StrandedDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly log: Pick<Log, 'warn'>;
  readonly everyMs?: number;
}

const lookEveryMs = 3_600_000;
/** Every process sees a new connection at the same time; only one looks. */
const lockMs = 10_000;
const step = 1_000;
/** Index entries that one look reads, newest first. */
const entriesMax = 200_000;
const listStep = 5_000;
/** Each job that is in no set is searched for in a whole list. */
const batchMax = 50;

const requeueThem = defineScript({
  lua: requeueLua + readFileSync(new URL('./requeue-stranded.lua', import.meta.url), 'utf8'),
  keyCount: 11,
  reply: z.number(),
});

export function createStranded({ redis, queues, log, everyMs = 30_000 }: StrandedDeps) {
  const lookedAtMs = new Map<string, number>();
  /** By brand: jobs in no place before the last look, minus those that it put back. */
  const unexplained = new Map<string, number>();
  const lookAtAll = () => lookedAtMs.clear();

  async function round(): Promise<void> {
    for (const queue of queues.values()) {
      const surplus = await surplusOf(queue);
      const sinceMs = performance.now() - (lookedAtMs.get(queue.brand) ?? Number.NEGATIVE_INFINITY);
      if (surplus <= (unexplained.get(queue.brand) ?? 0) && sinceMs < lookEveryMs) continue;
      if ((await redis.set(keysOf.strandedLook(queue), process.pid, 'PX', lockMs, 'NX')) !== 'OK') continue;
      lookedAtMs.set(queue.brand, performance.now());
      const jobs = await requeueStranded(redis, queue);
      unexplained.set(queue.brand, Math.max(surplus - jobs, 0));
      if (jobs > 0) log.warn({ event: 'queue.stranded_jobs_requeued', brand: queue.brand, jobs });
    }
  }

  async function surplusOf(queue: BrandQueue): Promise<number> {
    const { missing, registered } = await countMissing(redis, queue);
    return missing - registered;
  }

  const rounds = createRounds({
    redis,
    everyMs,
    round,
    onError: (error) => log.warn({ event: 'queue.stranded_look_failed', err: error }),
  });

  return {
    start(): void {
      redis.on('ready', lookAtAll);
      rounds.start();
    },
    async stop(): Promise<void> {
      redis.off('ready', lookAtAll);
      await rounds.stop();
    },
  };
}

/** Returns how many were put back. Rejects if Redis fails. */
export async function requeueStranded(redis: RedisConnection, queue: BrandQueue): Promise<number> {
  const waiting = await readList(redis, `${queue.base}:wait`);
  const inState = createInState(redis);
  let count = 0;
  for (const part of indexParts) {
    for (let rank = 0; rank < entriesMax; rank += step) {
      const ids = await redis.zrevrange(keysOf.index(queue, part), rank, rank + step - 1);
      const undelivered = await inState(queue, 'queued', ids);
      const candidates = undelivered.map(({ jobId }) => jobId).filter((jobId) => !waiting.has(jobId));
      for (let at = 0; at < candidates.length; at += batchMax)
        count += await requeueThem(redis, keysFor(queue), [queue.base, ...candidates.slice(at, at + batchMax)]);
      if (ids.length < step) break;
    }
  }
  return count;
}

function keysFor(queue: BrandQueue): string[] {
  return [
    ...bullKeys(queue, 'wait', 'active', 'delayed', 'prioritized', 'completed', 'failed'),
    keysOf.held(queue),
    ...bullKeys(queue, 'meta', 'events', 'marker'),
    keysOf.moving(queue),
  ];
}

/** In pages, since Redis serves nobody else meanwhile. The script checks again for jobs that move between two pages. */
async function readList(redis: RedisConnection, key: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (let from = 0; ; from += listStep) {
    const page = await redis.lrange(key, from, from + listStep - 1);
    for (const id of page) found.add(id);
    if (page.length < listStep) return found;
  }
}
