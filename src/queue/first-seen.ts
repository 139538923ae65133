// When a transaction was first seen terminal, for those whose completion the gateway does not name. Bounded by age.
import { keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

const keptMs = 86_400_000;

/** The time at which each digest was first seen, `nowMs` for those seen now. */
export async function firstSeen(
  redis: RedisConnection,
  queue: BrandQueue,
  digests: readonly string[],
  nowMs: number,
): Promise<number[]> {
  if (digests.length === 0) return [];
  const key = keysOf.firstSeen(queue);
  await redis.zremrangebyscore(key, '-inf', nowMs - keptMs);
  await redis.zadd(key, 'NX', ...digests.flatMap((digest) => [nowMs, digest]));
  const seen = await redis.zmscore(key, ...digests);
  return digests.map((_, index) => Number(seen[index] ?? nowMs));
}
