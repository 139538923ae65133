// The watch: transactions that have been pending at the gateway for long, looked up one by one until they end.
//
// Bounded in number; what finds no place is still seen by every sweep for RECONCILE_LOOKBACK.
import { keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

export interface Watched {
  readonly gatewayReference: string;
  readonly createdAtMs: number;
}

const watchedMax = 100_000;

/** Adds those that are not watched yet; false where the watch is full and nothing was added. */
export async function watch(
  redis: RedisConnection,
  queue: BrandQueue,
  added: readonly (Watched & { readonly dueMs: number })[],
): Promise<boolean> {
  if (added.length === 0) return true;
  if ((await redis.zcard(keysOf.watched(queue))) + added.length > watchedMax) return false;
  const dues = added.flatMap(({ gatewayReference, dueMs }) => [dueMs, gatewayReference]);
  const creations = added.flatMap(({ gatewayReference, createdAtMs }) => [createdAtMs, gatewayReference]);
  await redis.zadd(keysOf.watchedDue(queue), 'NX', ...dues);
  await redis.zadd(keysOf.watched(queue), 'NX', ...creations);
  return true;
}

export async function unwatch(redis: RedisConnection, queue: BrandQueue, references: readonly string[]): Promise<void> {
  if (references.length === 0) return;
  await redis.zrem(keysOf.watched(queue), ...references);
  await redis.zrem(keysOf.watchedDue(queue), ...references);
}

/** Those whose next look-up is due, the longest due first. */
export async function dueWatched(
  redis: RedisConnection,
  queue: BrandQueue,
  nowMs: number,
  limit: number,
): Promise<Watched[]> {
  const references = await redis.zrangebyscore(keysOf.watchedDue(queue), '-inf', nowMs, 'LIMIT', 0, limit);
  if (references.length === 0) return [];
  const creations = await redis.zmscore(keysOf.watched(queue), ...references);
  return references.map((gatewayReference, index) => ({
    gatewayReference,
    createdAtMs: Number(creations[index] ?? nowMs),
  }));
}

export async function postponeWatched(
  redis: RedisConnection,
  queue: BrandQueue,
  reference: string,
  dueMs: number,
): Promise<void> {
  await redis.zadd(keysOf.watchedDue(queue), 'XX', dueMs, reference);
}

/** How many have been pending since before a time. */
export function countWatchedSince(redis: RedisConnection, queue: BrandQueue, beforeMs: number): Promise<number> {
  return redis.zcount(keysOf.watched(queue), '-inf', beforeMs);
}
