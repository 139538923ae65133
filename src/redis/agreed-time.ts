// The time for decisions that cannot be undone, confirmed by two clocks: this machine's and Redis's. A machine whose clock
// ran a year ahead would otherwise remove at once what must be kept for months.
import type { RedisConnection } from './connections.ts';

/** The earlier of both times, in ms. Rejects if Redis fails. */
export async function agreedNowMs(redis: RedisConnection, hereMs: number): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Math.min(hereMs, Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000));
}
