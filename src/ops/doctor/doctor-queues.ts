// The doctor's check for queues that no process serves any more.
import type { Config } from '../../config/config.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { within } from '../../async/deadline.ts';
import { findLeftQueues, type LeftQueue } from '../../store/brands/left-queues.ts';
import { problem, type Check } from './check.ts';

const answerWithinMs = 6_000;

/** No line if there is none, or if Redis does not answer: that has its own line. */
export async function checkLeftQueues(config: Config, redis: RedisConnection): Promise<Check[]> {
  const left = await within(answerWithinMs, findLeftQueues({ redis, config })).catch(() => []);
  return left.map(toCheck);
}

function toCheck({ naming: { QUEUE_PREFIX, QUEUE_NAME }, brand, undelivered }: LeftQueue): Check {
  const names = `QUEUE_PREFIX=${QUEUE_PREFIX} QUEUE_NAME=${QUEUE_NAME}`;
  const callbacks = undelivered === 1 ? 'callback' : 'callbacks';
  return problem(
    'queues left behind',
    `Redis holds ${undelivered} undelivered ${callbacks} of the brand ${brand} under ${names}, and no process serves them.`,
    `Start a service with ${names} until they are delivered, or set them here again.`,
  );
}
