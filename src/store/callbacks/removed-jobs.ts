// The register of jobs that were removed before they were delivered: a sorted set by receipt, so that they can be counted and
// listed although BullMQ no longer has them.
//
// Updated whenever the index holds more jobs than the queue and the register together. Jobs that other programs added to the
// queue can hide as many; retention's hourly walk through the index (trim-index.lua) finds those.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import type { Claim } from '../accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { deliveryRecordLua, followDeliveries } from './delivery-records.ts';
import { createInState } from './in-state.ts';
import { createJobReader, isRemoved } from './read-callbacks.ts';
import { defineScript } from '../../redis/script.ts';

const find = defineScript({
  lua: deliveryRecordLua + readFileSync(new URL('./find-removed.lua', import.meta.url), 'utf8'),
  keyCount: 3,
  reply: z.tuple([z.number(), z.number()]),
});

const step = 1_000;
/** Index entries that one call reads. */
const entriesMax = 200_000;

/** Which of these claims' jobs were removed before delivery. Costs nothing for those with a record. */
export async function findRemoved(
  redis: RedisConnection,
  queue: BrandQueue,
  claims: readonly Claim[],
): Promise<ReadonlySet<string>> {
  const unrecorded = claims.flatMap(({ jobId, state }) => (state === undefined ? [jobId] : []));
  const candidates = await createInState(redis)(queue, 'removed', unrecorded);
  const jobIds = candidates.map(({ jobId }) => jobId);
  const records = await createJobReader(redis)(queue, jobIds, { withLogs: false });
  return new Set(records.filter(isRemoved).map(({ jobId }) => jobId));
}

/** Registers new ones and returns the count. Rejects if Redis fails. */
export async function countRemoved(redis: RedisConnection, queue: BrandQueue): Promise<number> {
  const before = await countMissing(redis, queue);
  if (before.missing <= before.registered) return before.registered;
  await followDeliveries(redis, queue, { all: true });
  const { missing, registered } = await countMissing(redis, queue);
  return missing <= registered ? registered : register(redis, queue, missing);
}

const countsReply = z.array(z.tuple([z.null(), z.number()])).transform((replies) => replies.map(([, count]) => count));

/** How many jobs of the index are not in the queue, and how many of these are registered as removed; read atomically. */
export async function countMissing(redis: RedisConnection, queue: BrandQueue) {
  const { base } = queue;
  const pipeline = redis.multi().zcard(keysOf.removed(queue)).llen(`${base}:wait`).llen(`${base}:active`);
  pipeline.zcard(keysOf.held(queue));
  for (const set of ['delayed', 'prioritized', 'completed', 'failed']) pipeline.zcard(`${base}:${set}`);
  for (const part of indexParts) pipeline.zcard(keysOf.index(queue, part));
  const [registered = 0, ...rest] = countsReply.parse(await pipeline.exec());
  return { registered, missing: sum(rest.slice(7)) - sum(rest.slice(0, 7)) };
}

async function register(redis: RedisConnection, queue: BrandQueue, missing: number): Promise<number> {
  let registered = 0;
  for (const part of indexParts) {
    const keys = [keysOf.removed(queue), keysOf.inHand(queue), keysOf.index(queue, part)];
    for (let rank = 0; rank < entriesMax; rank += step) {
      const [entries, count] = await find(redis, keys, [queue.base, rank, rank + step - 1]);
      registered = count;
      if (registered >= missing) return registered;
      if (entries < step) break;
    }
  }
  return registered;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
