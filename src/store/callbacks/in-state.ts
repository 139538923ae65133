// Which jobs are in a state, with their receipt times, from in-state.lua: one command for up to a few thousand jobs. Throws if
// Redis fails.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { indexKeys, bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import { pairs } from '../../redis/pairs.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { deliveryRecordLua, supersededText } from './delivery-records.ts';
import { activeMax } from './read-callbacks.ts';
import type { CallbackState } from './callback-view.ts';
import type { Entry } from './receipt-order.ts';
import { defineScript } from '../../redis/script.ts';

const readStates = defineScript({
  lua: deliveryRecordLua + readFileSync(new URL('./in-state.lua', import.meta.url), 'utf8'),
  keyCount: 9,
  reply: z.array(z.string()),
});

export function createInState(redis: RedisConnection) {
  return async function inState(
    queue: BrandQueue,
    state: CallbackState | '',
    jobIds: readonly string[],
  ): Promise<Entry[]> {
    if (jobIds.length === 0) return [];
    const keys = [
      ...bullKeys(queue, 'completed', 'failed', 'delayed', 'active'),
      keysOf.inHand(queue),
      keysOf.held(queue),
      ...indexKeys(queue),
    ];
    const answer = await readStates(redis, keys, [queue.base, state, activeMax, supersededText, ...jobIds]);
    return toEntries(queue, answer);
  };
}

/** Ids and scores alternate, as in Redis's reply. */
export function toEntries(queue: BrandQueue, flat: readonly string[]): Entry[] {
  // A job of another program may have no valid time.
  return pairs(flat).map(([jobId, score]) => ({ queue, jobId, receivedAtMs: Number(score) || 0 }));
}
