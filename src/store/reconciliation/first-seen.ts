// When a transaction was first seen terminal, for those whose completion the gateway does not name, or puts into the
// future. Bounded by age.
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';

export interface Sighting {
  readonly nowMs: number;
  /** What was first seen longer ago may be forgotten. */
  readonly keptMs: number;
}

/** The time at which each digest was first seen, `nowMs` for those seen now. Never in the future: a clock was wrong. */
export async function firstSeen(
  redis: RedisConnection,
  queue: BrandQueue,
  digests: readonly string[],
  { nowMs, keptMs }: Sighting,
): Promise<number[]> {
  if (digests.length === 0) return [];
  const key = keysOf.firstSeen(queue);
  await redis.zremrangebyscore(key, '-inf', nowMs - keptMs);
  // LT: adds what is new, and lowers what lies in the future.
  await redis.zadd(key, 'LT', ...digests.flatMap((digest) => [nowMs, digest]));
  const seen = await redis.zmscore(key, ...digests);
  return digests.map((_, index) => Number(seen[index] ?? nowMs));
}
