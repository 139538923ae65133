// Copies or moves the memory of a brand's callbacks (claims, earlier tries, other statuses, conflicts) to another brand.
//
// No list of these keys exists, so all keys of the server are scanned once; only commands do this, never a service.
import * as z from 'zod';
import { Cluster } from 'ioredis';
import type { MoveEnds } from './brand-move-jobs.ts';
import { carryKey } from './carry-keys.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

const scanCount = 1_000;

/** ARGV base, then digest, text, ttl. The higher sequence wins; for the same callback, the higher count and the longer text. */
const mergeClaims = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
local function parts(text) return string.match(text, '^([^,]*),(%d+),(%d+),(.*)$') end
for at = 2, #ARGV, 3 do
  local key, theirs, ttl = ARGV[1] .. '/c:' .. ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local ours = redis.pcall('GET', key)
  local nonce, sequence, duplicates, rest
  if type(ours) == 'string' then nonce, sequence, duplicates, rest = parts(ours) end
  if not nonce then -- none, or unreadable
    redis.call('SET', key, theirs, 'PX', ttl)
  elseif ours ~= theirs then
    local theirNonce, theirSequence, theirDuplicates, theirRest = parts(theirs)
    if theirNonce == nonce then
      if #theirRest > #rest then rest = theirRest end
      local most = math.max(tonumber(duplicates), tonumber(theirDuplicates))
      redis.call('SET', key, string.format('%s,%s,%d,%s', nonce, sequence, most, rest), 'KEEPTTL')
    elseif theirSequence and tonumber(theirSequence) > tonumber(sequence) then
      redis.call('SET', key, theirs, 'PX', ttl)
    end
  end
end
return 1`,
});

const removeClaims = defineScript({
  keyCount: 1,
  reply: z.number(),
  lua: `
for at = 2, #ARGV, 2 do
  local key = ARGV[1] .. '/c:' .. ARGV[at]
  if redis.call('GET', key) == ARGV[at + 1] then redis.call('DEL', key) end
end
return 1`,
});

/** Returns how many were found. With `keep` they stay in the old brand as well. */
export async function carryMemory(ends: MoveEnds, { keep }: { keep: boolean }, onBatch: () => Promise<void>) {
  const { redis, from, to } = ends;
  let claims = 0;
  for await (const keys of scan(redis, `${from.base}/[cmotxe]:*`)) {
    await onBatch();
    const { c = [], m = [], ...hashes } = Object.groupBy(keys, (key) => key.slice(from.base.length).charAt(1));
    claims += await carryClaims(ends, c, keep);
    for (const key of Object.values(hashes).flatMap((some) => some ?? [])) {
      const target = to.base + key.slice(from.base.length);
      await carryKey(ends, { kind: 'hash', from: key, to: target }, { keep });
    }
    // The keys of merchant references lead to jobs, and are rewritten with each job.
    if (!keep && m.length > 0) await redis.del(...m);
  }
  return claims;
}

async function carryClaims({ redis, from, to, confirm }: MoveEnds, keys: readonly string[], keep: boolean) {
  if (keys.length === 0) return 0;
  const [values, ttls] = await Promise.all([redis.mget(...keys), Promise.all(keys.map((key) => redis.pttl(key)))]);
  const found = keys.flatMap((key, at) => {
    const [text, ttlMs] = [values[at] ?? null, ttls[at] ?? 0];
    const digest = key.slice(`${from.base}/c:`.length);
    return text === null || ttlMs <= 0 ? [] : [{ digest, text, ttlMs }];
  });
  if (found.length === 0) return 0;
  const args = found.flatMap(({ digest, text, ttlMs }) => [digest, text, ttlMs]);
  await mergeClaims(redis, [`${to.base}/c`], [to.base, ...args]);
  if (keep) return found.length;
  await confirm();
  const texts = found.flatMap(({ digest, text }) => [digest, text]);
  await removeClaims(redis, [`${from.base}/c`], [from.base, ...texts]);
  return found.length;
}

/** Names and prefixes contain no pattern characters. */
export async function* scan(redis: RedisConnection, pattern: string): AsyncGenerator<string[]> {
  for (const node of redis instanceof Cluster ? redis.nodes('master') : [redis]) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', scanCount);
      cursor = next;
      yield keys; // even empty, as a sign of life
    } while (cursor !== '0');
  }
}
