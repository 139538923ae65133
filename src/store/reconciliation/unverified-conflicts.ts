// Conflicts that reconciliation has yet to verify at the gateway. `accept.lua` adds them; their bodies are in the quarantine,
// where one stays unless the gateway confirms it.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { dueMembers, type DueBy } from '../../redis/due.ts';
import { jobSchema } from '../../callback/job.ts';
import { parseJson } from '../../callback/json-text.ts';
import { defineScript } from '../../redis/script.ts';

export interface UnverifiedConflict {
  readonly id: string;
  readonly gatewayReference: string;
  readonly receivedAtMs: number;
  readonly body: string;
}

/** Conflicts whose look-up is due. Drops those that left the quarantine. */
export async function dueConflicts(
  redis: RedisConnection,
  queue: BrandQueue,
  by: DueBy,
): Promise<UnverifiedConflict[]> {
  const ids = await dueMembers(redis, keysOf.unverified(queue), by);
  const entries = await Promise.all(
    ids.map((id) => redis.hmget(keysOf.quarantineEntry(queue, id), 'job', 'receivedAt')),
  );
  const conflicts = ids.map((id, index) => toConflict(id, entries[index] ?? []));
  const gone = ids.filter((_, index) => conflicts[index] === undefined);
  if (gone.length > 0) await redis.zrem(keysOf.unverified(queue), ...gone);
  return conflicts.filter((conflict) => conflict !== undefined);
}

function toConflict(id: string, [job, receivedAt]: readonly (string | null)[]): UnverifiedConflict | undefined {
  const data = jobSchema.safeParse(parseJson(job ?? 'null')).data;
  if (data === undefined) return undefined;
  return { id, gatewayReference: data.gatewayReference, receivedAtMs: Number(receivedAt), body: data.body };
}

// An entry that an operator removed meanwhile must not be recreated as a hash with only a detail.
const keep = defineScript({
  keyCount: 2,
  reply: z.number(),
  lua: `
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'detail', ARGV[2]) end
return 1`,
});

/** Verified or given up: it stays in quarantine, and `detail` says why. */
export async function keepConflict(
  redis: RedisConnection,
  queue: BrandQueue,
  id: string,
  detail: string,
): Promise<void> {
  await keep(redis, [keysOf.unverified(queue), keysOf.quarantineEntry(queue, id)], [id, detail]);
}
