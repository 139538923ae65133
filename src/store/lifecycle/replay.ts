// Replay: delivers a callback again under its old `webhook-id`, with the whole schedule. See replay.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { digestOfJob } from '../../callback/job.ts';
import { defineScript } from '../../redis/script.ts';
import { requeueLua } from '../confirmation/requeue.ts';

const outcomes = [
  'replayed',
  /** Waiting or being delivered already. */
  'in-progress',
  /** A correction replaced it; that one can be replayed. */
  'superseded',
  /** Retention or erasure removed the job; only the claim is left. */
  'gone',
  /** The job was removed from the queue before it was delivered; reconciliation fetches it from the gateway. */
  'removed',
  'not-found',
] as const;

export type ReplayOutcome = { readonly kind: (typeof outcomes)[number] };

const replayJob = defineScript({
  lua: requeueLua + readFileSync(new URL('./replay.lua', import.meta.url), 'utf8'),
  keyCount: 12,
  reply: z.enum(outcomes),
});

/** Throws only if Redis fails. */
export async function replay(redis: RedisConnection, queue: BrandQueue, jobId: string): Promise<ReplayOutcome> {
  const keys = [
    keysOf.claim(queue, digestOfJob(jobId)),
    keysOf.job(queue, jobId),
    keysOf.jobLog(queue, jobId),
    ...bullKeys(queue, 'wait', 'delayed', 'completed', 'failed', 'meta', 'active', 'events', 'marker'),
    keysOf.held(queue),
  ];
  return { kind: await replayJob(redis, keys, [jobId, Date.now()]) };
}
