// Which jobs are in a state, with their receipt times, from in-state.lua: one command for up to a few thousand jobs. Throws if
// Redis fails.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
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
const sets = ['completed', 'failed', 'delayed', 'active'];

export function createInState(redis: RedisConnection) {
  return async function inState(
    queue: BrandQueue,
    state: CallbackState | '',
    jobIds: readonly string[],
  ): Promise<Entry[]> {
    if (jobIds.length === 0) return [];
    const keys = [
      ...sets.map((set) => `${queue.base}:${set}`),
      keysOf.inHand(queue),
      keysOf.held(queue),
      ...indexParts.map((part) => keysOf.index(queue, part)),
    ];
    const answer = await readStates(redis, keys, [queue.base, state, activeMax, supersededText, ...jobIds]);
    return toEntries(queue, answer);
  };
}

/** Ids and scores alternate, as in Redis's reply. */
export function toEntries(queue: BrandQueue, flat: readonly string[]): Entry[] {
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, at) => ({
    queue,
    jobId: flat[at * 2] ?? '',
    receivedAtMs: Number(flat[at * 2 + 1]) || 0, // a job of another program may have no valid time
  }));
}
