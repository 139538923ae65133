// The watch list: transactions that are unfinished at the gateway, looked up one by one until they end.
//
// Bounded; every sweep still sees those that found no place, for RECONCILE_LOOKBACK.
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { dueMembers, type DueBy } from '../../redis/due.ts';

export interface Watched {
  readonly gatewayReference: string;
  readonly createdAtMs: number;
}

export interface ToWatch extends Watched {
  readonly dueMs: number;
  /** What happens to an existing look-up time: it stays, only gets earlier, or only gets later. */
  readonly over: 'keep' | 'no-later' | 'no-sooner';
  /** Still `pending`: counts as overdue eventually. */
  readonly isPending: boolean;
}

const watchedMax = 100_000;

/** Returns how many found no place. */
export async function watch(redis: RedisConnection, queue: BrandQueue, added: readonly ToWatch[]): Promise<number> {
  if (added.length === 0) return 0;
  const known = await redis.zmscore(keysOf.watched(queue), ...added.map(({ gatewayReference }) => gatewayReference));
  let room = watchedMax - (await redis.zcard(keysOf.watched(queue)));
  const taken = added.filter((_, index) => (known[index] ?? null) !== null || room-- > 0);
  const multi = redis.multi();
  for (const { gatewayReference, createdAtMs, dueMs, over, isPending } of taken) {
    const due = keysOf.watchedDue(queue);
    if (over === 'keep') multi.zadd(due, 'NX', dueMs, gatewayReference);
    else if (over === 'no-later') multi.zadd(due, 'LT', dueMs, gatewayReference);
    else multi.zadd(due, 'GT', dueMs, gatewayReference);
    multi.zadd(keysOf.watched(queue), 'NX', createdAtMs, gatewayReference);
    if (isPending) multi.zadd(keysOf.watchedPending(queue), 'NX', createdAtMs, gatewayReference);
    else multi.zrem(keysOf.watchedPending(queue), gatewayReference);
  }
  await multi.exec();
  return added.length - taken.length;
}

export async function unwatch(redis: RedisConnection, queue: BrandQueue, references: readonly string[]): Promise<void> {
  if (references.length === 0) return;
  const { watched, watchedDue, watchedPending } = keysOf;
  const multi = redis.multi();
  for (const key of [watchedDue, watched, watchedPending]) multi.zrem(key(queue), ...references);
  await multi.exec();
}

/** Those whose look-up is due. */
export async function dueWatched(redis: RedisConnection, queue: BrandQueue, by: DueBy): Promise<Watched[]> {
  const references = await dueMembers(redis, keysOf.watchedDue(queue), by);
  if (references.length === 0) return [];
  const creations = await redis.zmscore(keysOf.watched(queue), ...references);
  return references.map((gatewayReference, index) => ({
    gatewayReference,
    createdAtMs: Number(creations[index] ?? by.nowMs),
  }));
}

/** How many have been pending since before a time. */
export function countPendingSince(redis: RedisConnection, queue: BrandQueue, beforeMs: number): Promise<number> {
  return redis.zcount(keysOf.watchedPending(queue), '-inf', beforeMs);
}
