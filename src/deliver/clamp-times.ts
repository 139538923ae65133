// Looks periodically for times in a brand's queue that lie too far ahead, and cuts them. See clamp-times.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { bullKeys, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { createRounds } from '../redis/rounds.ts';
import { defineScript } from '../redis/script.ts';

export interface ClampTimesOptions {
  readonly queue: BrandQueue;
  readonly redis: RedisConnection;
  readonly stalledIntervalMs: number;
  readonly lockMs: number;
}

const everyMs = 3_000;
const jobsPerLook = 500;
/** The merchant's own workers may lock for longer than ours; a lock beyond this comes from a wrong clock. */
const lockMsMin = 600_000;

const clamp = defineScript({
  lua: readFileSync(new URL('./clamp-times.lua', import.meta.url), 'utf8'),
  keyCount: 4,
  reply: z.number(),
});

/** Never throws: while Redis is down there is nothing to cut. */
export function createTimesClamp({ queue, redis, stalledIntervalMs, lockMs }: ClampTimesOptions) {
  const keys = bullKeys(queue, 'delayed', 'stalled-check', 'active', 'marker');
  let rank = 0;
  return createRounds({
    redis,
    everyMs,
    async round() {
      rank = await clamp(redis, keys, [queue.base, stalledIntervalMs, Math.max(lockMs, lockMsMin), rank, jobsPerLook]);
    },
    onError: () => (rank = 0),
  });
}
