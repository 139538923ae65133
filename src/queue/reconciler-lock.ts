// The lock that lets one process at a time reconcile a brand: a token under a key that expires unless it is renewed.
//
// Losing it is harmless, since intake is idempotent; what must not happen is that a process that lost it moves the
// checkpoint. So the sweep's state is only written by the holder of the token, in the same step (sweep-state.ts).
import { keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

export async function takeReconcilerLock(
  redis: RedisConnection,
  queue: BrandQueue,
  token: string,
  ttlMs: number,
): Promise<boolean> {
  return (await redis.set(keysOf.reconciler(queue), token, 'PX', ttlMs, 'NX')) === 'OK';
}

const renewScript = `return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0`;

/** False where another process holds it, or none. */
export async function renewReconcilerLock(
  redis: RedisConnection,
  queue: BrandQueue,
  token: string,
  ttlMs: number,
): Promise<boolean> {
  return (await redis.eval(renewScript, 1, keysOf.reconciler(queue), token, ttlMs)) === 1;
}

const releaseScript = `return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0`;

export async function releaseReconcilerLock(redis: RedisConnection, queue: BrandQueue, token: string): Promise<void> {
  await redis.eval(releaseScript, 1, keysOf.reconciler(queue), token);
}
