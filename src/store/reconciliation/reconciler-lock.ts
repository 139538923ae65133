// The lock that lets one process at a time reconcile a brand: a token under a key that expires unless it is renewed.
//
// Losing it is harmless, since intake is idempotent; what must not happen is that a process that lost it moves the
// checkpoint. So the sweep's state is only written by the holder of the token, in the same step (sweep-state.ts).
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { releaseLock, renewLock } from '../../redis/lock.ts';

// Redis keeps the time of expiry, not the time that is left: where its clock was set back by an hour, a dead holder's key
// would live for an hour. So a key that has longer to live than any holder gives it is taken over; a holder that is
// alive would notice at its next renewal.
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

/** False where another process holds it, or none. */
export async function renewReconcilerLock(
  redis: RedisConnection,
  queue: BrandQueue,
  token: string,
  ttlMs: number,
): Promise<boolean> {
  return renewLock(redis, keysOf.reconciler(queue), token, ttlMs);
}

export async function releaseReconcilerLock(redis: RedisConnection, queue: BrandQueue, token: string): Promise<void> {
  await releaseLock(redis, keysOf.reconciler(queue), token);
}
