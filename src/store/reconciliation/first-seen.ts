// When a transaction was first seen terminal, if the gateway names no completion, or one in the future. Bounded by age.
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';

export interface Sighting {
  readonly nowMs: number;
  /** Entries older than this may be dropped. */
  readonly keptMs: number;
}

/** When each digest was first seen; `nowMs` for new ones. Never in the future, even if a clock was wrong. */
export async function firstSeen(
  redis: RedisConnection,
  queue: BrandQueue,
  digests: readonly string[],
  { nowMs, keptMs }: Sighting,
): Promise<number[]> {
  if (digests.length === 0) return [];
  const key = keysOf.firstSeen(queue);
  await redis.zremrangebyscore(key, '-inf', nowMs - keptMs);
  // LT: adds new ones, and lowers times in the future.
  await redis.zadd(key, 'LT', ...digests.flatMap((digest) => [nowMs, digest]));
  const seen = await redis.zmscore(key, ...digests);
  return digests.map((_, index) => Number(seen[index] ?? nowMs));
}
