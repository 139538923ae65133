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

/** The longest due first. */
export async function dueMembers(
  redis: RedisConnection,
  key: string,
  { nowMs, aheadMaxMs, limit }: DueBy,
): Promise<string[]> {
  const due = await redis.zrangebyscore(key, '-inf', nowMs, 'LIMIT', 0, limit);
  const latestMs = nowMs + aheadMaxMs + skewMs;
  const strays = await redis.zrangebyscore(key, `(${latestMs}`, '+inf', 'LIMIT', 0, limit);
  return [...due, ...strays].slice(0, limit);
}
