// Sorted sets by the time at which each member is due. What is due later than anything can be was put there under a clock
// that was wrong, and is due now: else it would wait until that clock is right.
import type { RedisConnection } from './connections.ts';

export interface DueBy {
  readonly nowMs: number;
  /** Nothing is ever put off for longer. */
  readonly aheadMaxMs: number;
  readonly limit: number;
}

/** Clocks of different machines may differ by so much. */
const skewMs = 600_000;

/** The longest due first. Of more than `limit` those in the middle are left out, so that a backlog hides nothing new. */
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
