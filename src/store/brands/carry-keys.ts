// Moves one key's contents to another brand: read, merged into the new key, then removed exactly as read.
//
// Each step can be repeated; what is written to the old key meanwhile stays for the next round. Values already in the new key
// win. Bytes stay bytes: quarantined bodies need not be text.
import * as z from 'zod';
import type { RedisConnection } from '../../redis/connections.ts';
import type { MoveEnds } from './brand-move-jobs.ts';
import { pairs } from '../../redis/pairs.ts';
import { defineScript } from '../../redis/script.ts';

export type Kind = 'hash' | 'sorted set' | 'list' | 'copy';

/** Sorted sets and lists are moved in pieces, so that no call takes long. */
const pieceMax = 500;

const mergeHash = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
local ttl, isNew = tonumber(ARGV[1]), redis.call('EXISTS', KEYS[1]) == 0
for at = 2, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) end
local own = redis.call('PTTL', KEYS[1])
if ttl > 0 and (isNew or (own >= 0 and own < ttl)) then redis.call('PEXPIRE', KEYS[1], ttl) end
return 1`,
});

const removeFromHash = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
for at = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[1], ARGV[at]) end
end
return 1`,
});

const mergeList = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
local known = {}
for _, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do known[entry] = true end
for _, entry in ipairs(ARGV) do
  if not known[entry] then redis.call('RPUSH', KEYS[1], entry) end
end
return 1`,
});

export interface CarriedKey {
  readonly kind: Kind;
  readonly from: string;
  readonly to: string;
}

/** Returns the number of entries; with `keep` they stay in the old key as well. */
export async function carryKey(ends: MoveEnds, key: CarriedKey, { keep = false } = {}): Promise<number> {
  switch (key.kind) {
    case 'hash':
      return carryHash(ends, key, keep);
    case 'sorted set':
      return carrySortedSet(ends, key);
    case 'list':
      return carryList(ends, key);
    case 'copy':
      return copyUnlessThere(ends, key);
  }
}

async function carryHash({ redis, confirm }: MoveEnds, { from, to }: CarriedKey, keep: boolean): Promise<number> {
  const fields = Object.entries(await redis.hgetallBuffer(from)).flat();
  if (fields.length === 0) return 0;
  await mergeHash(redis, [to], [await redis.pttl(from), ...fields]);
  if (keep) return fields.length / 2;
  await confirm();
  await removeFromHash(redis, [from], fields);
  return fields.length / 2;
}

async function carrySortedSet({ redis, confirm }: MoveEnds, { from, to }: CarriedKey): Promise<number> {
  let carried = 0;
  for (;;) {
    const piece = pairs(await redis.zrange(from, '0', String(pieceMax - 1), 'WITHSCORES'));
    if (piece.length === 0) return carried;
    await redis.zadd(to, 'NX', ...piece.flatMap(([member, score]) => [score, member]));
    await confirm();
    await redis.zrem(from, ...piece.map(([member]) => member));
    carried += piece.length;
  }
}

async function carryList({ redis, confirm }: MoveEnds, { from, to }: CarriedKey): Promise<number> {
  const entries = await redis.lrange(from, 0, -1);
  if (entries.length === 0) return 0;
  await mergeList(redis, [to], entries);
  await confirm();
  await redis.ltrim(from, 0, -entries.length - 1); // new entries are pushed at the front
  return entries.length;
}

/** For values that cannot be merged: the new brand's own value wins. */
async function copyUnlessThere({ redis, confirm }: MoveEnds, { from, to }: CarriedKey): Promise<number> {
  const dump = await redis.dumpBuffer(from);
  if (dump === null) return 0;
  if ((await redis.exists(to)) === 0) await restore(redis, to, await redis.pttl(from), dump);
  await confirm();
  await redis.del(from);
  return 1;
}

async function restore(redis: RedisConnection, key: string, ttlMs: number, dump: Buffer): Promise<void> {
  await redis.restore(key, Math.max(ttlMs, 0), dump, 'REPLACE');
}
