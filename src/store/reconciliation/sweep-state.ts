// How far the sweeps of a brand have come. Lives in Redis, is written only by the holder of the reconciler's lock.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

const time = z.number().min(0).max(8.64e15);

/** A sweep over a longer time that is under way: its windows before `atMs` are done, or among those behind. */
const planSchema = z.object({ fromMs: time, toMs: time, atMs: time });
export type SweepPlan = Readonly<z.infer<typeof planSchema>>;

/** A window that has to be swept again, apart from the others. */
const behindSchema = z.object({
  fromMs: time,
  toMs: time,
  sinceMs: time,
  dueMs: time,
  /** It was read to its end, but something in it could not be read or settled. */
  isSwept: z.boolean(),
});
export type BehindWindow = Readonly<z.infer<typeof behindSchema>>;

/** When a sweep of each kind last ended well; `all`: any, with no window behind that was not swept. */
const endedWellSchema = z.object({ recentMs: time.optional(), fullMs: time.optional(), allMs: time.optional() });
export type EndedWell = Readonly<z.infer<typeof endedWellSchema>>;

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
  /** Where the very first sweep began: no catch-up goes back behind it. */
  beganMs: number,
  /** Every transaction created before it has been looked at, but for the windows behind; absent before the first sweep. */
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
  return (await write(redis, keys, [token, ...fields])) === 1;
}
