// A lock: a token under a key that expires unless its holder renews it. Only the holder of the token renews or releases.
import * as z from 'zod';
import type { RedisConnection } from './connections.ts';
import { defineScript } from './script.ts';

const renew = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0`,
});

const release = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0`,
});

/** False if another token, or none, holds the lock. */
export async function renewLock(redis: RedisConnection, key: string, token: string, ttlMs: number): Promise<boolean> {
  return (await renew(redis, [key], [token, ttlMs])) === 1;
}

export async function releaseLock(redis: RedisConnection, key: string, token: string): Promise<void> {
  await release(redis, [key], [token]);
}
