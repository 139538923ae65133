// For commands that copy and then remove: whether enough replicas have the copy.
import { keysOf, type BrandQueue } from './brand-queue.ts';
import { createConfirmedCall } from './confirmed-call.ts';
import type { RedisConnection } from './connections.ts';

const timeoutMs = 5_000;
/** WAIT counts writes, so this one must come after all others. */
const script = { lua: `return redis.call('SET', KEYS[1], '1', 'PX', 60000)`, keyCount: 1 };

/** Whether enough replicas have everything that this connection wrote to the brand so far. */
export function confirmation(redis: RedisConnection, queue: BrandQueue, replicas: number): () => Promise<boolean> {
  if (replicas === 0) return async () => true;
  const call = createConfirmedCall(redis, script, { replicas, timeoutMs });
  return async () => (await call([keysOf.mark(queue)])).confirmed;
}
