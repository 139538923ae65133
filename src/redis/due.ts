// Sorted sets of members by due time. A due time beyond any possible delay was written under a wrong clock; such members
// are due now, since otherwise they would wait until that time.
import type { RedisConnection } from './connections.ts';

export interface DueBy {
  readonly nowMs: number;
  /** The longest possible delay. */
  readonly aheadMaxMs: number;
  readonly limit: number;
}

/** Tolerated difference between the clocks of different machines. */
const skewMs = 600_000;

/** The longest overdue first. Beyond `limit` the middle is left out, so that a backlog does not hide new members. */
export async function dueMembers(
  redis: RedisConnection,
  key: string,
  { nowMs, aheadMaxMs, limit }: DueBy,
): Promise<string[]> {
  const half = Math.ceil(limit / 2);
  const latestMs = nowMs + aheadMaxMs + skewMs;
  const latest = await redis.zrevrangebyscore(key, nowMs, '-inf', 'LIMIT', 0, half);
  const longest = await redis.zrangebyscore(key, '-inf', nowMs, 'LIMIT', 0, half);
  const strays = await redis.zrangebyscore(key, `(${latestMs}`, '+inf', 'LIMIT', 0, half);
  return [...new Set([...strays, ...longest, ...latest.toReversed()])];
}

/** Moves the due time of a member that is still there. */
export async function postpone(redis: RedisConnection, key: string, member: string, dueMs: number): Promise<void> {
  await redis.zadd(key, 'XX', dueMs, member);
}
