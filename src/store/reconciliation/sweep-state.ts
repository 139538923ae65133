// The progress of a brand's sweeps. Stored in Redis; only the holder of the reconciler's lock writes it.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

const time = z.number().min(0).max(8.64e15);

/** A longer sweep in progress: the windows before `atMs` are done, or among those to retry. */
const planSchema = z.object({ fromMs: time, toMs: time, atMs: time });
export type SweepPlan = Readonly<z.infer<typeof planSchema>>;

/** A window that must be swept again. */
const behindSchema = z.object({
  fromMs: time,
  toMs: time,
  sinceMs: time,
  dueMs: time,
  /** It was read completely, but part of it could not be parsed or settled. */
  isSwept: z.boolean(),
});
export type BehindWindow = Readonly<z.infer<typeof behindSchema>>;

/** When a sweep of each kind last succeeded; `all`: any, with no unswept window left to retry. */
const endedWellSchema = z.object({ recentMs: time.optional(), fullMs: time.optional(), allMs: time.optional() });
const json = <T>(schema: z.ZodType<T>) =>
  z
    .string()
    .transform((text, context) => {
      try {
        return schema.parse(JSON.parse(text));
      } catch {
        context.addIssue({ code: 'custom', message: 'is garbled' });
        return z.NEVER;
      }
    })
    .optional()
    .catch(undefined);
const number = z.coerce.number().pipe(time).optional().catch(undefined);

const stateSchema = z.object({
  /** Where the very first sweep began: catching up never goes further back. */
  beganMs: number,
  /** Every transaction created before it was checked, except in windows to retry; absent before the first sweep. */
  checkpointMs: number,
  /** When the last sweep of the whole RECONCILE_LOOKBACK was planned. */
  plannedAtMs: number,
  plan: json(planSchema),
  behind: json(z.array(behindSchema)),
  endedWell: json(endedWellSchema),
});

export type SweepState = Readonly<z.infer<typeof stateSchema>>;

export async function readSweepState(redis: RedisConnection, queue: BrandQueue): Promise<SweepState> {
  return stateSchema.parse(await redis.hgetall(keysOf.sweepState(queue)));
}

const write = defineScript({
  keyCount: 2,
  reply: z.number(),
  lua: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1`,
});

/** Replaces the state; false, with nothing written, if the token no longer holds the lock. */
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
  return (await write(redis, keys, [token, ...fields])) === 1;
}
