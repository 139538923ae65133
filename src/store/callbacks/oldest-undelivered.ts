// Since when a brand's oldest undelivered callback has waited, been retried or been held. Not simply the next one in the
// queue: a merchant that answers 404 to everything leaves nothing there.
//
// Each look reads only a few. If there are many, whoever finds the last result too old walks through all of them, and every
// process shows that result. Rejects if Redis fails.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { parseJson } from '../../callback/json-text.ts';

const look = defineScript({
  lua: readFileSync(new URL('./oldest-undelivered.lua', import.meta.url), 'utf8'),
  keyCount: 5,
  reply: z.string(),
});

const step = 1_000;
/** Per place; with more callbacks than that the oldest may be missed. */
const lookedAtMax = 100_000;
const freshMs = 15_000;
const sharedSchema = z.object({ atMs: z.number(), sinceMs: z.number().optional() });

/** In ms; undefined if nothing waits. */
export async function oldestUndelivered(
  redis: RedisConnection,
  queue: BrandQueue,
  nowMs: number,
): Promise<number | undefined> {
  const size = await largestPlace(redis, queue);
  if (size === 0) return undefined;
  const keys = [...bullKeys(queue, 'wait', 'active', 'delayed', 'prioritized'), keysOf.held(queue)];
  const lookAt = async (first: number) => {
    const since = await look(redis, keys, [queue.base, nowMs, first, first + step - 1]);
    return since === '' ? Infinity : Number(since);
  };
  if (size <= step) return finite(await lookAt(0));

  const known = parseShared(await redis.get(keysOf.oldestUndelivered(queue)));
  if (known !== undefined && Math.abs(nowMs - known.atMs) < freshMs) return known.sinceMs;
  let sinceMs = Infinity;
  for (let first = 0; first < Math.min(size, lookedAtMax); first += step) {
    sinceMs = Math.min(sinceMs, await lookAt(first));
  }
  const found = JSON.stringify({ atMs: nowMs, sinceMs: finite(sinceMs) });
  await redis.set(keysOf.oldestUndelivered(queue), found, 'PX', 2 * freshMs);
  return finite(sinceMs);
}

async function largestPlace(redis: RedisConnection, queue: BrandQueue): Promise<number> {
  const lists = bullKeys(queue, 'wait', 'active').map((key) => redis.llen(key));
  const sets = [...bullKeys(queue, 'delayed', 'prioritized'), keysOf.held(queue)].map((key) => redis.zcard(key));
  return Math.max(...(await Promise.all([...lists, ...sets])));
}

function finite(ms: number): number | undefined {
  return Number.isFinite(ms) ? ms : undefined;
}

function parseShared(text: string | null): z.infer<typeof sharedSchema> | undefined {
  return sharedSchema.safeParse(parseJson(text ?? '')).data;
}
