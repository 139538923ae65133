// Walks the jobs of a period, for commands and sweeps that look at each.
import { indexParts, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';

const pageSize = 500;

/** Pages of job ids received from `fromMs` to before `toMs`, in each part of the index the oldest first. */
export async function* receivedBetween(
  redis: RedisConnection,
  queue: BrandQueue,
  fromMs: number,
  toMs: number,
): AsyncGenerator<readonly string[]> {
  const before = toMs === Infinity ? '+inf' : `(${toMs}`;
  for (const part of indexParts) {
    for (let offset = 0; ; offset += pageSize) {
      const ids = await redis.zrangebyscore(keysOf.index(queue, part), fromMs, before, 'LIMIT', offset, pageSize);
      yield ids;
      if (ids.length < pageSize) break;
    }
  }
}
