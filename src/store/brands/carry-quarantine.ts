// Moves a brand's quarantine to another brand: entries under their ids, their bytes added to the count, and the conflicts
// that reconciliation has yet to verify.
import * as z from 'zod';
import type { MoveEnds } from './brand-move-jobs.ts';
import { renameJob } from './brand-move-jobs.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { createQuarantineStore } from '../quarantine/quarantine-store.ts';
import { pairs } from '../../redis/pairs.ts';
import { defineScript } from '../../redis/script.ts';

const pageMax = 50;

/** KEYS entry, ids, bytes, unverified; ARGV id, time, ttl, time in unverified or '', then fields. */
const putEntry = defineScript({
  keyCount: 4,
  reply: z.number(),
  lua: `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if tonumber(ARGV[3]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('INCRBY', KEYS[3], redis.call('HGET', KEYS[1], 'bytes') or 0)
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1]) end
return 1`,
});

/** Returns the number of entries. */
export async function carryQuarantine(ends: MoveEnds): Promise<number> {
  const { redis, from, confirm } = ends;
  const store = createQuarantineStore(redis, from);
  let carried = 0;
  for (;;) {
    const page = pairs(await redis.zrange(keysOf.quarantine(from), '0', String(pageMax - 1), 'WITHSCORES'));
    if (page.length === 0) break;
    for (const [id, at] of page) await carryEntry(ends, id, at);
    await confirm();
    for (const [id] of page) await store.remove(id);
    carried += page.length;
  }
  await redis.del(keysOf.quarantineBytes(from), keysOf.unverified(from));
  return carried;
}

async function carryEntry({ redis, from, to }: MoveEnds, id: string, at: string): Promise<void> {
  const key = keysOf.quarantineEntry(from, id);
  const fields = await redis.hgetallBuffer(key);
  if (Object.keys(fields).length === 0) return; // expired
  const { job } = fields;
  const renamed = {
    ...fields,
    brand: to.brand,
    ...(job !== undefined && { job: renameJob(job.toString('utf8'), to) }),
  };
  const unverifiedAt = (await redis.zscore(keysOf.unverified(from), id)) ?? '';
  const keys = [
    keysOf.quarantineEntry(to, id),
    keysOf.quarantine(to),
    keysOf.quarantineBytes(to),
    keysOf.unverified(to),
  ];
  const args = [id, at, await redis.pttl(key), unverifiedAt, ...Object.entries(renamed).flat()];
  await putEntry(redis, keys, args);
}
