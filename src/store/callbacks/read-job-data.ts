// Reads the data of many jobs, to compare it with the gateway's records.
import { parseJson } from '../../callback/json-text.ts';
import { jobSchema, type JobData } from '../../callback/job.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';

/** A body may be large, and a page of the gateway's records names thousands. */
const batchMax = 200;

/** In order; undefined if the job is gone or is not a callback. Rejects if Redis fails. */
export async function readJobData(
  redis: RedisConnection,
  queue: BrandQueue,
  sought: readonly { readonly jobId: string }[],
): Promise<(JobData | undefined)[]> {
  const read: (JobData | undefined)[] = [];
  for (let at = 0; at < sought.length; at += batchMax) {
    const batch = sought.slice(at, at + batchMax);
    const texts = await Promise.all(batch.map(({ jobId }) => redis.hget(keysOf.job(queue, jobId), 'data')));
    read.push(...texts.map((text) => jobSchema.safeParse(parseJson(text ?? '')).data));
  }
  return read;
}
