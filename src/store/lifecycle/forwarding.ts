// Holding deliveries back: the operator's pause and the merchant's breaker. Both are per brand, live in Redis, apply to every
// worker (even the merchant's own) and survive restarts.
//
// The breaker is BullMQ's own global rate limit, set by deliver/breaker.lua: while it is open the queue lets one job through
// per interval, and afterwards twice as many each second.
import * as z from 'zod';
import type { Queue } from 'bullmq';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

export interface Forwarding {
  readonly paused: boolean;
  /** `recovering`: the merchant is back, and the delivery rate grows. */
  readonly breaker: 'closed' | 'open' | 'recovering';
  readonly openSinceMs?: number;
}

/** Intake continues; deliveries in flight finish. */
export async function pauseForwarding(redis: RedisConnection, queue: BrandQueue): Promise<void> {
  await withQueue(redis, queue, async (bull) => bull.pause());
}

/** Also closes the breaker: whoever resumes wants deliveries to be tried now. */
export async function resumeForwarding(redis: RedisConnection, queue: BrandQueue): Promise<void> {
  await clearBreaker(redis, queue);
  await withQueue(redis, queue, async (bull) => bull.resume());
}

export async function readForwarding(redis: RedisConnection, queue: BrandQueue): Promise<Forwarding> {
  const [paused, [phase, openedAt]] = await Promise.all([
    redis.hexists(`${queue.base}:meta`, 'paused'),
    redis.hmget(keysOf.breaker(queue), 'phase', 'openedAt'),
  ]);
  const breaker = phase === 'open' ? 'open' : phase === 'ramp' ? 'recovering' : 'closed';
  return { paused: paused === 1, breaker, ...(breaker === 'open' && { openSinceMs: Number(openedAt) }) };
}

/** Clears the breaker and the rate limit that it set; a limit that somebody else set stays. */
export async function clearBreaker(redis: RedisConnection, queue: BrandQueue): Promise<void> {
  if ((await redis.exists(keysOf.breaker(queue))) === 0) return;
  const keys = [keysOf.breaker(queue), keysOf.breakerFailures(queue), `${queue.base}:limiter`, `${queue.base}:meta`];
  await clear(redis, keys);
}

/** Removes the breaker's values and restores the operator's; values that the operator set since then stay. */
const clear = defineScript({
  keyCount: 4,
  reply: z.unknown(),
  lua: `
  local breaker = redis.call('HMGET', KEYS[1], 'theirMax', 'theirDuration', 'setMax', 'setDuration')
  local found = redis.call('HMGET', KEYS[4], 'max', 'duration')
  if (tonumber(redis.call('GET', KEYS[3]) or 0) or 0) < 9e15 then redis.call('DEL', KEYS[3]) end
  redis.call('DEL', KEYS[1], KEYS[2])
  if breaker[3] and (found[1] ~= breaker[3] or found[2] ~= breaker[4]) then return end
  if breaker[1] and breaker[2] then
    redis.call('HSET', KEYS[4], 'max', breaker[1], 'duration', breaker[2])
  else
    redis.call('HDEL', KEYS[4], 'max', 'duration')
  end`,
});

async function withQueue(redis: RedisConnection, queue: BrandQueue, act: (bull: Queue) => Promise<void>) {
  // Only this needs BullMQ in a process that delivers nothing.
  const { Queue } = await import('bullmq');
  // BullMQ's version check uses INFO, which managed servers may refuse.
  const bull = new Queue(queue.name, { connection: redis, prefix: queue.prefix, skipVersionCheck: true });
  // The connection's own listener reports errors; without a listener here the process would end.
  bull.on('error', () => undefined);
  try {
    await act(bull);
  } finally {
    await bull.close();
  }
}
