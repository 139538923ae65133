// Counts the callbacks that were delivered before the gateway denied them: a person has to look at those.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

const count = defineScript({
  lua: readFileSync(new URL('./count-denied.lua', import.meta.url), 'utf8'),
  keyCount: 2,
  reply: z.number(),
});
/** Redis serves nobody else meanwhile; beyond this the exact number hardly matters. */
const lookedAtMax = 10_000;

/** Rejects if Redis fails. */
export function countDenied(redis: RedisConnection, queue: BrandQueue, sinceMs: number): Promise<number> {
  return count(redis, [keysOf.denied(queue), keysOf.held(queue)], [sinceMs, lookedAtMax]);
}
