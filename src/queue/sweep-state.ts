// How far the sweeps of a brand have come. Lives in Redis, is written only by the holder of the reconciler's lock.
import * as z from 'zod';
import { keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

/** A sweep over a longer time that is under way: its windows before `atMs` are done. */
export interface SweepPlan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly atMs: number;
}

export interface SweepState {
  /** Every transaction created before it has been looked at; undefined where nothing was ever swept. */
  readonly checkpointMs?: number | undefined;
  /** When the last sweep of the whole RECONCILE_LOOKBACK was planned. */
  readonly plannedAtMs?: number | undefined;
  readonly plan?: SweepPlan | undefined;
}

const plan = z.object({ fromMs: z.number(), toMs: z.number(), atMs: z.number() });
const stateSchema = z.object({
  checkpointMs: z.coerce.number().optional().catch(undefined),
  plannedAtMs: z.coerce.number().optional().catch(undefined),
  plan: z
    .string()
    .transform((text) => plan.parse(JSON.parse(text)))
    .optional()
    .catch(undefined),
});

export async function readSweepState(redis: RedisConnection, queue: BrandQueue): Promise<SweepState> {
  return stateSchema.parse(await redis.hgetall(keysOf.sweepState(queue)));
}

const writeScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1`;

/** Replaces the state; false, and nothing written, where the token no longer holds the lock. */
export async function writeSweepState(
  redis: RedisConnection,
  queue: BrandQueue,
  token: string,
  state: SweepState,
): Promise<boolean> {
  const fields = Object.entries(state)
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => [name, JSON.stringify(value)]);
  const keys = [keysOf.reconciler(queue), keysOf.sweepState(queue)];
  return (await redis.eval(writeScript, keys.length, ...keys, token, ...fields)) === 1;
}
