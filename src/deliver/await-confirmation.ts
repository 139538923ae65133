// With CONFIRM=before no worker takes a callback before the gateway has confirmed it, unless somebody promotes delayed jobs
// by hand ("promote all" in a dashboard). The built-in worker then gives back callbacks that the gateway was not asked about
// yet.
import type { JobData } from '../callback/job.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { NotedFields } from './noted-fields.ts';

/** A shorter wait counts as over. */
const leastMs = 1_000;

/**
 * How much longer a callback waits for its confirmation, ms; 0 if it may be delivered. Asks Redis for its time only if no
 * answer is noted, which is rare.
 */
export async function confirmationDueInMs(
  redis: RedisConnection,
  { source, receivedAt }: JobData,
  { confirmed, isReplayed }: NotedFields,
  waitMs: number,
): Promise<number> {
  if (waitMs === 0 || source !== 'callback' || confirmed !== '' || isReplayed) return 0;
  const [seconds] = await redis.time();
  const leftMs = Date.parse(receivedAt) + waitMs - Number(seconds) * 1_000;
  // A receiver whose clock is ahead must not delay it beyond the wait.
  return leftMs > leastMs && leftMs <= waitMs + leastMs ? leftMs : 0;
}
