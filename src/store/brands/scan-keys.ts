// A bounded scan of Redis's keys; may miss keys once its time is over. Throws if Redis fails.
import { Cluster } from 'ioredis';
import type { RedisConnection } from '../../redis/connections.ts';

const scanMaxMs = 2_000;
const scanCount = 1_000;

/** @param pattern as SCAN's MATCH */
export async function scanKeys(redis: RedisConnection, pattern: string): Promise<string[]> {
  const deadlineMs = performance.now() + scanMaxMs;
  const found = new Set<string>();
  for (const node of redis instanceof Cluster ? redis.nodes('master') : [redis]) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', scanCount);
      cursor = next;
      for (const key of keys) found.add(key);
    } while (cursor !== '0' && performance.now() < deadlineMs);
  }
  return [...found];
}
