// Which brands the running processes serve, as heartbeats in Redis, and with which keys (as fingerprints).
//
// A brand that another process serves is not ownerless. A brand whose key is configured here under another name was renamed,
// even if a process with the old name still runs. Times are Redis's own. Throws if Redis fails.
import { hash } from 'node:crypto';
import * as z from 'zod';
import type { Brand } from '../../config/brands.ts';
import { defaultBrand } from '../../config/brand-values.ts';
import { brandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

export type Keys = Pick<Brand, 'apiKeys' | 'gatewayApiKeys'>;

/** How long a killed process still counts. */
const ttlMs = 30_000;
export const heartbeatEveryMs = 10_000;
const fingerprintCharacters = 12;

const servingKey = (naming: QueueNaming) => `${brandQueue(defaultBrand, naming).base}/serving`;

const heartbeat = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for at = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[at]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`,
});

/** Ignores heartbeats from a wrong clock, too far in the future. */
const read = defineScript({
  keyCount: 1,
  reply: z.array(z.string()),
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], now, now + 2 * ARGV[1])`,
});

export function fingerprintsOf({ apiKeys, gatewayApiKeys }: Keys): string[] {
  return [...new Set([...apiKeys, ...gatewayApiKeys])].map((key) =>
    hash('sha256', `payalo-receiver brand ${key}`, 'base64url').slice(0, fingerprintCharacters),
  );
}

/** `processId`: without spaces. */
export async function noteServing(
  redis: RedisConnection,
  naming: QueueNaming,
  processId: string,
  brands: ReadonlyMap<string, Keys>,
): Promise<void> {
  await heartbeat(redis, [servingKey(naming)], [ttlMs, ...members(processId, brands)]);
}

export async function endServing(
  redis: RedisConnection,
  naming: QueueNaming,
  processId: string,
  brands: ReadonlyMap<string, Keys>,
): Promise<void> {
  await redis.zrem(servingKey(naming), ...members(processId, brands));
}

function members(processId: string, brands: ReadonlyMap<string, Keys>): string[] {
  return [...brands].map(([brand, keys]) => [processId, brand, fingerprintsOf(keys).join(',')].join(' '));
}

/** Key fingerprints by brand, for every brand that a running process serves. */
export async function readServing(redis: RedisConnection, naming: QueueNaming): Promise<Map<string, Set<string>>> {
  const serving = new Map<string, Set<string>>();
  for (const member of await read(redis, [servingKey(naming)], [ttlMs])) {
    const [, brand = '', fingerprints = ''] = member.split(' ');
    serving.set(brand, new Set([...(serving.get(brand) ?? []), ...fingerprints.split(',')]));
  }
  return serving;
}
