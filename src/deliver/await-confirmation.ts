// With CONFIRM=before no worker takes a callback before the gateway has confirmed it, unless somebody promotes the delayed jobs
// by hand: "promote all" of a dashboard. The built-in worker then gives back what the gateway was not asked for yet.
import type { JobData } from '../callback/job.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { NotedFields } from './noted-fields.ts';

/** What is over in a moment is delivered now. */
const leastMs = 1_000;

/**
 * For how much longer a callback waits for its confirmation, ms; 0 where it may be delivered. Redis is asked for its time only
 * where nothing is noted, which is rare.
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
  // A receiver whose clock is ahead must not hold it for longer than the wait.
  return leftMs > leastMs && leftMs <= waitMs + leastMs ? leftMs : 0;
}
