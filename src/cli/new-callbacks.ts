// Which callbacks there are from now on, as BullMQ's events tell: each id once, in the order in which they were added.
//
// The accept script writes those events only while a key says that somebody listens. It outlives an outage of Redis, which
// is waited through: the events go on where they were. Redis keeps about ten thousand of them.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';

const eventsMax = 1_000;
/** Once nobody listens any more, events are written for as long. */
const listeningMs = 3_600_000;
const renewEveryMs = 60_000;
const entries = z.array(z.tuple([z.string(), z.array(z.string())]));
const streams = z.array(z.tuple([z.string(), entries])).nullable();

export interface NewCallbacks {
  /** Ids of jobs that were added since the last call. Fails as Redis does (rejects), and loses none for it. */
  next(): Promise<string[]>;
}

/** From this moment on. */
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
        const valueOf = (name: string) => fields[fields.findIndex((field, at) => at % 2 === 0 && field === name) + 1];
        return valueOf('event') === 'added' ? [valueOf('jobId') ?? ''] : [];
      });
    },
  };
}
