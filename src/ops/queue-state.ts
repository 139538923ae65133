// The state of the queues: jobs by state, the oldest waiting one, quarantine, pauses. Read for the metrics and the console,
// at most once per `freshMs` however many ask. Rejects if Redis fails.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import { isNotPermitted, type RedisConnection } from '../redis/connections.ts';
import { countDenied } from '../store/confirmation/count-denied.ts';
import { oldestUndelivered } from '../store/callbacks/oldest-undelivered.ts';
import { countRemoved } from '../store/callbacks/removed-jobs.ts';

export const jobCountsSchema = z.object({
  queued: z.int(),
  delivering: z.int(),
  retrying: z.int(),
  /** Includes superseded ones. */
  delivered: z.int(),
  failed: z.int(),
  held: z.int().describe('Denied by the gateway, or with another amount than ordered: delivered only by an operator.'),
  removed: z.int().describe('Removed from the queue by another program before they were delivered.'),
});
type JobCounts = z.infer<typeof jobCountsSchema>;

export interface QueueState {
  readonly jobs: JobCounts;
  /** 0 if nothing waits. */
  readonly oldestWaitingSeconds: number;
  /** Age of the oldest one that waits, is being delivered, retried or held; 0 if there is none. */
  readonly oldestUndeliveredSeconds: number;
  readonly brands: readonly BrandState[];
  readonly quarantineEntries: number;
  /** Callbacks that the gateway has neither confirmed nor denied yet. */
  readonly unconfirmed: number;
  /** Denied within a day and not held: the merchant may have received them. */
  readonly denied: number;
  /** Callbacks of the last day whose amount is not the ordered one. */
  readonly mismatched: number;
  readonly pausedBrands: readonly string[];
  /** Undefined if the Redis user may not read it. */
  readonly memory: { readonly usedBytes: number; /** 0: no limit. */ readonly maxBytes: number } | undefined;
}

export interface BrandState {
  readonly brand: string;
  /** Waiting, being delivered, retried or held. */
  readonly undelivered: number;
  readonly oldestUndeliveredMs: number | undefined;
  /** As far as known. */
  readonly lastDeliveredMs: number | undefined;
}

const freshMs = 1_500;
const dayMs = 86_400_000;

export interface QueueStateDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly now?: () => number;
}

export function createQueueState({ redis, queues, now = Date.now }: QueueStateDeps) {
  let cached: { readonly at: number; readonly state: Promise<QueueState> } | undefined;

  async function read(): Promise<QueueState> {
    const [memory, brands] = await Promise.all([
      readMemory(redis),
      Promise.all([...queues.values()].map(async (queue) => readBrand(redis, queue, now()))),
    ]);
    const sum = (name: keyof JobCounts | 'quarantined' | 'unconfirmed' | 'denied' | 'mismatched') =>
      brands.reduce((total, brand) => total + brand[name], 0);
    return {
      jobs: {
        queued: sum('queued'),
        delivering: sum('delivering'),
        retrying: sum('retrying'),
        delivered: sum('delivered'),
        failed: sum('failed'),
        held: sum('held'),
        removed: sum('removed'),
      },
      oldestWaitingSeconds: secondsSince(brands.map(({ oldestMs }) => oldestMs)),
      oldestUndeliveredSeconds: secondsSince(brands.map(({ state }) => state.oldestUndeliveredMs ?? Infinity)),
      brands: brands.map(({ state }) => state),
      quarantineEntries: sum('quarantined'),
      unconfirmed: sum('unconfirmed'),
      denied: sum('denied'),
      mismatched: sum('mismatched'),
      pausedBrands: brands.filter(({ isPaused }) => isPaused).map(({ brand }) => brand),
      memory,
    };
  }

  function secondsSince(times: readonly number[]): number {
    const oldest = Math.min(...times);
    return Number.isFinite(oldest) ? Math.max(0, (now() - oldest) / 1_000) : 0;
  }

  return async function queueState(): Promise<QueueState> {
    if (cached === undefined || now() - cached.at > freshMs) cached = { at: now(), state: read() };
    const { state } = cached;
    try {
      return await state;
    } catch (error) {
      cached = undefined; // the next call reads again
      throw error;
    }
  };
}

export type ReadQueueState = ReturnType<typeof createQueueState>;

async function readBrand(redis: RedisConnection, queue: BrandQueue, nowMs: number) {
  const { base, brand } = queue;
  const [queued, oldestId, delivering, retrying, delivered, failed] = await Promise.all([
    redis.llen(`${base}:wait`),
    redis.lindex(`${base}:wait`, -1),
    redis.llen(`${base}:active`),
    redis.zcard(`${base}:delayed`),
    redis.zcard(`${base}:completed`),
    redis.zcard(`${base}:failed`),
  ]);
  const [quarantined, paused, lastAt, held, unconfirmed, mismatched] = await Promise.all([
    redis.zcard(keysOf.quarantine(queue)),
    redis.hexists(`${base}:meta`, 'paused'),
    redis.hget(keysOf.followed(queue), 'at'),
    redis.zcard(keysOf.held(queue)),
    redis.zcard(keysOf.unconfirmed(queue)),
    redis.zcount(keysOf.mismatched(queue), nowMs - dayMs, '+inf'),
  ]);
  const oldestAt = oldestId === null ? null : await redis.hget(keysOf.job(queue, oldestId), 'timestamp');
  const oldestMs = oldestAt === null ? Infinity : Number(oldestAt);
  const state: BrandState = {
    brand,
    undelivered: queued + delivering + retrying + held,
    oldestUndeliveredMs: await oldestUndelivered(redis, queue, nowMs),
    lastDeliveredMs: lastAt === null ? undefined : Number(lastAt),
  };
  const removed = await countRemoved(redis, queue);
  const denied = await countDenied(redis, queue, nowMs - dayMs);
  const jobs = { queued, delivering, retrying, delivered, failed, held, removed };
  return { brand, ...jobs, quarantined, unconfirmed, denied, mismatched, isPaused: paused === 1, oldestMs, state };
}

async function readMemory(redis: RedisConnection): Promise<QueueState['memory']> {
  try {
    const info = await redis.info('memory');
    return { usedBytes: infoNumber(info, 'used_memory'), maxBytes: infoNumber(info, 'maxmemory') };
  } catch (error) {
    if (isNotPermitted(error)) return undefined;
    throw error;
  }
}

function infoNumber(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}
