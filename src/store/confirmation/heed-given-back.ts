// Applies the gateway's answer about a callback that a worker held and then returned. See heed-given-back.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { requeueLua } from './requeue.ts';

const heed = defineScript({
  lua: requeueLua + readFileSync(new URL('./heed-given-back.lua', import.meta.url), 'utf8'),
  keyCount: 9,
  reply: z.enum(['', 'held', 'requeued']),
});

/** Rejects if Redis fails. */
export async function heedGivenBack(redis: RedisConnection, queue: BrandQueue, jobId: string): Promise<void> {
  const ofBullMq = bullKeys(queue, 'wait', 'meta', 'active', 'events', 'marker');
  const ours = [keysOf.job(queue, jobId), `${queue.base}:delayed`, keysOf.denied(queue), keysOf.held(queue)];
  await heed(redis, [...ours, ...ofBullMq], [jobId, Date.now()]);
}
