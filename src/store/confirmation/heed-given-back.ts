// What the gateway said of a callback while a worker had it in hand and then gave it back. See heed-given-back.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { requeueLua } from './requeue.ts';

const heed = defineScript({
  lua: requeueLua + readFileSync(new URL('./heed-given-back.lua', import.meta.url), 'utf8'),
  keyCount: 9,
  reply: z.enum(['', 'held', 'requeued']),
});

/** Fails as Redis does (rejects). */
export async function heedGivenBack(redis: RedisConnection, queue: BrandQueue, jobId: string): Promise<void> {
  const ofBullMq = ['wait', 'meta', 'active', 'events', 'marker'].map((key) => `${queue.base}:${key}`);
  const ours = [keysOf.job(queue, jobId), `${queue.base}:delayed`, keysOf.denied(queue), keysOf.held(queue)];
  await heed(redis, [...ours, ...ofBullMq], [jobId, Date.now()]);
}
