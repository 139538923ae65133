// The lock that lets one process at a time reconcile a brand: a token under a key that expires unless renewed.
//
// Losing it is harmless, since intake is idempotent. But a process that lost it must not move the checkpoint, so only the
// token's holder can write the sweep's state, in the same step (sweep-state.ts).
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

// Redis stores the expiry time, not the remaining time: if its clock was set back by an hour, a dead holder's key would live an
// hour longer. So a key with more time to live than any holder sets is taken over; a holder that is alive notices at its next
// renewal.
const take = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
local ttl = redis.call('PTTL', KEYS[1])
if ttl >= 0 and ttl <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`,
});

export async function takeReconcilerLock(
  redis: RedisConnection,
  queue: BrandQueue,
  token: string,
  ttlMs: number,
): Promise<boolean> {
  return (await take(redis, [keysOf.reconciler(queue)], [token, ttlMs])) === 1;
}
