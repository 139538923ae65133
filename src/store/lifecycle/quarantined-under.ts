// Finds quarantine entries by reference, for erasure; no index has them.
//
// Reads the quarantine in small pages, newest first, at most `entriesMax` entries (QUARANTINE_MAX_BYTES bounds it as well). An
// entry without a usable reference matches if its body contains the reference as a JSON string.
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { parseData } from '../callbacks/read-callbacks.ts';

/** Bodies are read as well, so a page must stay within a few megabytes. */
const pageEntries = 20;
const entriesMax = 200_000;

export async function quarantinedUnder(
  redis: RedisConnection,
  queue: BrandQueue,
  gatewayReference: string,
): Promise<string[]> {
  const found: string[] = [];
  for (let at = 0; at < entriesMax; at += pageEntries) {
    const ids = await redis.zrevrange(keysOf.quarantine(queue), at, at + pageEntries - 1);
    const entries = await Promise.all(
      ids.map((id) => redis.hmget(keysOf.quarantineEntry(queue, id), 'gatewayReference', 'job', 'body')),
    );
    found.push(...ids.filter((_, index) => carries(entries[index] ?? [], gatewayReference)));
    if (ids.length < pageEntries) break;
  }
  return found;
}

/** Conflicts hold the whole job instead of a reference and a body. */
function carries([named, job, body]: readonly (string | null)[], gatewayReference: string): boolean {
  if (job) return parseData(job)?.gatewayReference === gatewayReference;
  if (named) return named === gatewayReference;
  return body?.includes(JSON.stringify(gatewayReference)) ?? false;
}
