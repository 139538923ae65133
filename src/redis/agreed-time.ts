// What cannot be taken back must be true by two clocks: this machine's, and Redis's. One that is a year ahead once would
// else remove at its first round what is to be kept for months.
import type { RedisConnection } from './connections.ts';

/** The earlier of both times, ms. Fails as Redis does (rejects). */
export async function agreedNowMs(redis: RedisConnection, hereMs: number): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Math.min(hereMs, Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000));
}
