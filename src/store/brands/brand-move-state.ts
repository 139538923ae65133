// What `brand move` copies besides jobs and claims, key by key: quarantine, expectations, the sweeps' progress, the audit
// trail, the breaker. The type demands an entry here for each new key.
import * as z from 'zod';
import { bullKeys, keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import type { MoveEnds } from './brand-move-jobs.ts';
import { carryKey, type Kind } from './carry-keys.ts';
import { carryQuarantine } from './carry-quarantine.ts';
import { readSweepState, writeSweepState, type SweepState } from '../reconciliation/sweep-state.ts';
import { defineScript } from '../../redis/script.ts';

interface Carried {
  readonly kind: Kind;
  readonly key: (queue: BrandQueue) => string;
}

/** `apart`: handled by another step, or not moved at all (locks, the move's own notes). */
const rules: Readonly<Record<keyof typeof keysOf, Carried | 'apart'>> = {
  claim: 'apart',
  otherKinds: 'apart',
  conflicts: 'apart',
  tries: 'apart',
  merchantReference: 'apart',
  job: 'apart',
  jobLog: 'apart',
  index: 'apart',
  quarantine: 'apart',
  quarantineEntry: 'apart',
  quarantineBytes: 'apart',
  unverified: 'apart',
  sweepState: 'apart',
  retention: 'apart',
  strandedLook: 'apart',
  reconciler: 'apart',
  mark: 'apart',
  lineage: 'apart',
  lineageHold: 'apart',
  moving: 'apart',
  mover: 'apart',
  taken: 'apart',
  incoming: 'apart',
  followed: 'apart',
  claimKeeper: 'apart',
  oldestUndelivered: 'apart',
  inHand: 'apart',
  listening: 'apart',
  breaker: { kind: 'copy', key: keysOf.breaker },
  breakerFailures: { kind: 'copy', key: keysOf.breakerFailures },
  breakerResting: { kind: 'copy', key: keysOf.breakerResting },
  breakerOwn: { kind: 'copy', key: keysOf.breakerOwn },
  notified: { kind: 'copy', key: keysOf.notified },
  notifications: { kind: 'list', key: keysOf.notifications },
  notifier: 'apart',
  rates: { kind: 'copy', key: keysOf.rates },
  audit: { kind: 'list', key: keysOf.audit },
  sweepReports: { kind: 'list', key: keysOf.sweepReports },
  expectations: { kind: 'sorted set', key: keysOf.expectations },
  amountsExpected: { kind: 'copy', key: keysOf.amountsExpected },
  expectedAmount: 'apart',
  unknownExpectations: { kind: 'hash', key: keysOf.unknownExpectations },
  expectedMerchantReferences: { kind: 'hash', key: keysOf.expectedMerchantReferences },
  watched: { kind: 'sorted set', key: keysOf.watched },
  watchedDue: { kind: 'sorted set', key: keysOf.watchedDue },
  watchedPending: { kind: 'sorted set', key: keysOf.watchedPending },
  firstSeen: { kind: 'sorted set', key: keysOf.firstSeen },
  removed: { kind: 'sorted set', key: keysOf.removed },
  unconfirmed: { kind: 'sorted set', key: keysOf.unconfirmed },
  denied: { kind: 'sorted set', key: keysOf.denied },
  mismatched: { kind: 'sorted set', key: keysOf.mismatched },
  held: 'apart',
};

/** Returns the number of quarantine entries. `token` holds the old brand's reconciler lock. */
export async function carryState(ends: MoveEnds, token: string): Promise<number> {
  const { from, to } = ends;
  await carryRateLimit(ends);
  for (const rule of Object.values(rules)) {
    if (rule !== 'apart') await carryKey(ends, { kind: rule.kind, from: rule.key(from), to: rule.key(to) });
  }
  for (const part of indexParts)
    await carryKey(ends, { kind: 'sorted set', from: keysOf.index(from, part), to: keysOf.index(to, part) });
  await carrySweepState(ends, token);
  return carryQuarantine(ends);
}

/** The breaker's state is BullMQ's rate limit of the queue (deliver/breaker.lua). */
async function carryRateLimit({ redis, from, to }: MoveEnds): Promise<void> {
  const [isOpen, isOpenThere] = [await redis.exists(keysOf.breaker(from)), await redis.exists(keysOf.breaker(to))];
  if (isOpen === 0 || isOpenThere === 1) return;
  const [max = null, duration = null] = await redis.hmget(`${from.base}:meta`, 'max', 'duration');
  if (max !== null && duration !== null) await redis.hset(`${to.base}:meta`, 'max', max, 'duration', duration);
}

/** The earlier checkpoint wins; what follows it is swept again and recognized. */
async function carrySweepState({ redis, from, to, confirm }: MoveEnds, token: string): Promise<void> {
  const old = await readSweepState(redis, from);
  if (old.checkpointMs === undefined) return;
  const mine = await readSweepState(redis, to);
  const merged: SweepState =
    mine.checkpointMs === undefined
      ? old
      : {
          // A missing beginning stays missing: whoever wrote the state has not noted it yet.
          beganMs: Math.min(old.beganMs ?? 0, mine.beganMs ?? 0),
          checkpointMs: Math.min(old.checkpointMs, mine.checkpointMs),
          behind: [...(old.behind ?? []), ...(mine.behind ?? [])],
        };
  // The new brand's reconciler continues from it once it has the lock again.
  await redis.set(keysOf.reconciler(to), token, 'PX', 5_000);
  await writeSweepState(redis, to, token, merged);
  await redis.del(keysOf.reconciler(to));
  await confirm();
  await redis.del(keysOf.sweepState(from));
}

const places = ['wait', 'paused', 'active', 'delayed', 'prioritized', 'failed', 'completed'];
const leftovers = ['meta', 'id', 'events', 'marker', 'stalled', 'stalled-check', 'limiter', 'pc'];
const metrics = ['completed', 'failed'].flatMap((name) => [`metrics:${name}`, `metrics:${name}:data`]);

const ownKeys = [keysOf.retention, keysOf.strandedLook, keysOf.claimKeeper, keysOf.followed, keysOf.inHand];

/** KEYS: the places where jobs may be, then the keys to remove if there are no jobs. */
const removeIfEmpty = defineScript({
  keyCount: places.length + 2 + leftovers.length + metrics.length + ownKeys.length,
  reply: z.number(),
  lua: `
for at = 1, tonumber(ARGV[1]) do
  if redis.call('EXISTS', KEYS[at]) == 1 then return 0 end
end
for at = ARGV[1] + 1, #KEYS do redis.call('DEL', KEYS[at]) end
return 1`,
});

/** What BullMQ keeps beside the jobs; removed once there are none. */
export async function removeLeftovers({ redis, from }: MoveEnds): Promise<void> {
  const jobs = [...bullKeys(from, ...places), keysOf.held(from), keysOf.moving(from)];
  const rest = [...bullKeys(from, ...leftovers, ...metrics), ...ownKeys.map((key) => key(from))];
  await removeIfEmpty(redis, [...jobs, ...rest], [jobs.length]);
}
