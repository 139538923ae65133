// Holding deliveries back: the operator's pause, and the state of the merchant's breaker. Both are per brand, live in
// Redis, hold for every worker (a merchant's own as well) and outlast restarts.
//
// The breaker is BullMQ's own global rate limit, set by deliver/breaker.lua: while it is open the queue lets one job
// through per wait, and after that twice as many each second.
import { Queue } from 'bullmq';
import { keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

export interface Forwarding {
  readonly paused: boolean;
  /** `recovering`: the merchant is back, and deliveries flow at a growing rate. */
  readonly breaker: 'closed' | 'open' | 'recovering';
  readonly openSinceMs?: number;
}

/** Intake goes on; what is being delivered is finished. */
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

/** Forgets the breaker and lifts the rate limit that it had set; a limit of somebody else's stays. */
export async function clearBreaker(redis: RedisConnection, queue: BrandQueue): Promise<void> {
  if ((await redis.exists(keysOf.breaker(queue))) === 0) return;
  const replies = await redis
    .multi()
    .del(keysOf.breaker(queue), keysOf.breakerFailures(queue), `${queue.base}:limiter`)
    .hdel(`${queue.base}:meta`, 'max', 'duration')
    .exec();
  for (const [error] of replies ?? []) if (error !== null) throw error;
}

async function withQueue(redis: RedisConnection, queue: BrandQueue, act: (bull: Queue) => Promise<void>) {
  // The version is asked for with INFO, which managed servers may refuse.
  const bull = new Queue(queue.name, { connection: redis, prefix: queue.prefix, skipVersionCheck: true });
  // The connection's own listener reports; without one here the process would end.
  bull.on('error', () => undefined);
  try {
    await act(bull);
  } finally {
    await bull.close();
  }
}
