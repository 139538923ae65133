// The quarantine in Redis: per brand a sorted set of ids by time, and one hash per entry.
//
// `accept.lua` writes conflicts into the same keys. Every change here is one script, so that the set, the entries and the byte
// count stay consistent. Bounded: each addition drops the oldest entries beyond the limits, and reports how many.
import * as z from 'zod';
import type { Redis } from 'ioredis';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { pairs } from '../../redis/pairs.ts';
import { defineScript } from '../../redis/script.ts';

export interface QuarantineBounds {
  readonly maxBytes: number;
  /** Older entries are dropped. */
  readonly notBeforeMs: number;
}

/** Drops per call, so that a call stays short. The next call continues. */
const dropsMax = 500;

/** Shared by `add` and `trim`: drops the oldest entries beyond the limit on bytes or age. */
const trimLua = `
local function trim(ids, bytesKey, unverified, base, maxBytes, notBefore)
  local dropped = 0
  local total = tonumber(redis.call('GET', bytesKey) or 0)
  while dropped < ${dropsMax} do
    local oldest = redis.call('ZRANGE', ids, 0, 0, 'WITHSCORES')
    if not oldest[1] then
      redis.call('DEL', bytesKey) -- corrects the count after entries that expired by themselves
      break
    end
    if total <= maxBytes and tonumber(oldest[2]) >= notBefore then break end
    local entry = base .. '/q:' .. oldest[1]
    total = redis.call('DECRBY', bytesKey, redis.call('HGET', entry, 'bytes') or 0)
    redis.call('DEL', entry)
    redis.call('ZREM', ids, oldest[1])
    redis.call('ZREM', unverified, oldest[1])
    dropped = dropped + 1
  end
  return dropped
end
`;

/** KEYS ids, bytes, unverified, entry; ARGV base, max bytes, not before, id, at, ttl, bytes, then fields. */
const addEntry = defineScript({
  keyCount: 4,
  reply: z.number(),
  lua: `${trimLua}
local ids, bytesKey, unverified, entry = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('ZSCORE', ids, ARGV[4]) then return 0 end -- a repeated call
for at = 8, #ARGV, 2 do redis.call('HSET', entry, ARGV[at], ARGV[at + 1]) end
redis.call('HSET', entry, 'bytes', ARGV[7])
redis.call('PEXPIRE', entry, ARGV[6])
redis.call('INCRBY', bytesKey, ARGV[7])
redis.call('ZADD', ids, ARGV[5], ARGV[4]) -- last, so that listed entries are complete
return trim(ids, bytesKey, unverified, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
`,
});

const trimEntries = defineScript({
  keyCount: 3,
  reply: z.number(),
  lua: `${trimLua}
return trim(KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
`,
});

const removeEntry = defineScript({
  keyCount: 4,
  reply: z.number(),
  lua: `
local removed = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
local bytes = redis.call('HGET', KEYS[4], 'bytes')
if bytes then redis.call('DECRBY', KEYS[2], bytes) end
return removed + redis.call('DEL', KEYS[4])
`,
});

export interface QuarantineRow {
  readonly id: string;
  readonly atMs: number;
  readonly fields: ReadonlyMap<string, Buffer>;
}

/** Entries live somewhat beyond the limit on age, so that `trim` still finds their bytes to subtract. */
export const quarantineTtlSlackMs = 86_400_000;

/** `job`: on conflicts, which accept.lua writes; body and reference in one. */
const summaryFields = ['reason', 'detail', 'receivedAt', 'requestId', 'headers', 'gatewayReference', 'bytes', 'job'];

export interface AddQuarantine {
  readonly id: string;
  readonly atMs: number;
  readonly bytes: number;
  readonly retainMs: number;
  readonly fields: Readonly<Record<string, string | number | Buffer>>;
}

export function createQuarantineStore(redis: RedisConnection, queue: BrandQueue) {
  const keys = [keysOf.quarantine(queue), keysOf.quarantineBytes(queue), keysOf.unverified(queue)];
  const entryKey = (id: string) => keysOf.quarantineEntry(queue, id);

  return {
    /** Adds an entry unless it exists; returns how many older ones were dropped for it. */
    async add({ id, atMs, bytes, retainMs, fields }: AddQuarantine, bounds: QuarantineBounds): Promise<number> {
      const { maxBytes, notBeforeMs } = bounds;
      const ttlMs = retainMs + quarantineTtlSlackMs;
      const flat = Object.entries(fields).flat();
      const fixed = [queue.base, maxBytes, notBeforeMs, id, atMs, ttlMs, bytes];
      return addEntry(redis, [...keys, entryKey(id)], [...fixed, ...flat]);
    },

    async trim({ maxBytes, notBeforeMs }: QuarantineBounds): Promise<number> {
      return trimEntries(redis, keys, [queue.base, maxBytes, notBeforeMs]);
    },

    async remove(id: string): Promise<boolean> {
      return (await removeEntry(redis, [...keys, entryKey(id)], [id])) > 0;
    },

    async get(id: string): Promise<QuarantineRow | undefined> {
      const score = await redis.zscore(keysOf.quarantine(queue), id);
      if (score === null) return undefined;
      const fields = await readFields(redis, entryKey(id));
      return fields.size === 0 ? undefined : { id, atMs: Number(score), fields };
    },

    /** Newest first, at most `limit`, none newer than `beforeMs`. */
    async ids(beforeMs: number, limit: number): Promise<{ id: string; atMs: number }[]> {
      const key = keysOf.quarantine(queue);
      const found = await redis.zrevrangebyscore(key, beforeMs, '-inf', 'WITHSCORES', 'LIMIT', 0, limit);
      return pairs(found).map(([id, at]) => ({ id, atMs: Number(at) }));
    },

    /** An entry without its body; undefined after it expired. */
    async summary(id: string): Promise<ReadonlyMap<string, Buffer> | undefined> {
      const values = await redis.hmgetBuffer(entryKey(id), ...summaryFields);
      const fields = new Map<string, Buffer>();
      for (const [index, name] of summaryFields.entries()) {
        const value = values[index];
        if (value !== null && value !== undefined) fields.set(name, value);
      }
      return fields.size === 0 ? undefined : fields;
    },
  };
}

async function readFields(redis: Pick<Redis, 'hgetallBuffer'>, key: string): Promise<Map<string, Buffer>> {
  return new Map(Object.entries(await redis.hgetallBuffer(key)));
}
