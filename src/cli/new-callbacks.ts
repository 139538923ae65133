// The new callbacks, from BullMQ's events: each id once, in the order in which they were added.
//
// The accept script writes these events only while a key says that somebody listens. Survives an outage of Redis: the events
// continue where they stopped. Redis keeps about ten thousand of them.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { pairs } from '../redis/pairs.ts';

const eventsMax = 1_000;
/** How long events are still written after nobody listens any more. */
const listeningMs = 3_600_000;
const renewEveryMs = 60_000;
const entries = z.array(z.tuple([z.string(), z.array(z.string())]));
const streams = z.array(z.tuple([z.string(), entries])).nullable();

export interface NewCallbacks {
  /** Ids of jobs that were added since the last call. Rejects if Redis fails, without losing any. */
  next(): Promise<string[]>;
}

/** Starts at this moment. */
export async function followNew(redis: RedisConnection, queue: BrandQueue): Promise<NewCallbacks> {
  const key = `${queue.base}:events`;
  let renewedAtMs = -Infinity;
  await keepListening();
  const [last] = await redis.xrevrange(key, '+', '-', 'COUNT', 1);
  let position = last?.[0] ?? '0';

  async function keepListening(): Promise<void> {
    if (performance.now() < renewedAtMs + renewEveryMs) return;
    await redis.set(keysOf.listening(queue), '1', 'PX', listeningMs);
    renewedAtMs = performance.now();
  }

  return {
    async next() {
      await keepListening();
      const [stream] = streams.parse(await redis.xread('COUNT', eventsMax, 'STREAMS', key, position)) ?? [];
      const events = stream?.[1] ?? [];
      position = events.at(-1)?.[0] ?? position;
      return events.flatMap(([, fields]) => {
        const event = new Map(pairs(fields));
        return event.get('event') === 'added' ? [event.get('jobId') ?? ''] : [];
      });
    },
  };
}
