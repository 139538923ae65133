// `brand move FROM TO`: moves everything that Redis holds of a brand to another name. The webhook-ids stay the same.
//
// Promises: nothing is lost, delivered from both queues or delivered again by a sweep, whatever runs meanwhile and whenever
// this is killed: each step copies, waits for the replicas, and removes; another run continues. From the first step on,
// callbacks for the old name go to the new one (brand-lineage.ts), and nothing is accepted there before all claims of the
// old one are copied. What processes of an earlier version still put into the old queue is moved by another run.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { currentQueue, namesOf, readLineage, type Lineage } from '../../redis/brand-lineage.ts';
import { moveJobs, type MoveJobsDependencies } from './brand-move-jobs.ts';
import { carryState, removeLeftovers } from './brand-move-state.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import { forgetBrand, isNothing, readHoldings, noteBrand, type Holdings } from './brand-registry.ts';
import { carryMemory } from './carry-claims.ts';
import { followDeliveries } from '../callbacks/delivery-records.ts';
import { pauseForwarding } from '../lifecycle/forwarding.ts';
import { releaseLock, renewLock } from '../../redis/lock.ts';

export interface MoveDependencies extends MoveJobsDependencies {
  /** How long a former name must be looked up: the longest of DEDUP_TTL and the retention times. */
  readonly lineageTtlMs: number;
  /** DEDUP_TTL */
  readonly claimTtlMs: number;
  /** How long to wait for deliveries in flight. */
  readonly patienceMs: number;
  readonly onProgress: (moved: Moved) => void;
}

export interface Moved {
  jobs: number;
  claims: number;
  quarantined: number;
}

export type MoveResult =
  | { readonly kind: 'moved'; readonly moved: Moved; readonly paused: boolean }
  /** Deliveries in flight, or a process that keeps writing to the old brand. */
  | { readonly kind: 'left'; readonly moved: Moved; readonly paused: boolean; readonly left: Holdings }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'busy' }
  /** The target itself was moved to another brand. */
  | { readonly kind: 'target-moved'; readonly to: string };

const tokenStart = 'move-';
/** Renewed every second; after a kill the next run waits this long. */
const leaseMs = 5_000;
/** By then a reconciler that lost its lock has noticed (leadership.ts). */
const reconcilerStopMs = 3_000;
const lookEveryMs = 250;
/** BullMQ's own limit. */
const eventsMax = 10_000;
/** Well within the lease. */
const renewEveryMs = 1_000;
const roundsMax = 5;

export async function moveBrand(dependencies: MoveDependencies): Promise<MoveResult> {
  const { redis, from, to, claimTtlMs } = dependencies;
  const { brand: target } = await currentQueue(redis, to);
  if (target !== to.brand && target !== from.brand) return { kind: 'target-moved', to: target };
  const lineage = await readLineage(redis, from);
  const isKnown = lineage.movedTo !== undefined || !isNothing(await readHoldings(redis, from, claimTtlMs));
  if (!isKnown) return { kind: 'nothing' };
  const token = tokenStart + randomUUID();
  if (!(await takeLock(dependencies, token))) return { kind: 'busy' };
  try {
    await noteBrand(redis, to.naming, to.brand);
    await announce(dependencies, token, lineage);
    return await moveAll(dependencies, token);
  } finally {
    await releaseLock(redis, keysOf.mover(from), token).catch(() => undefined); // it expires by itself
  }
}

/** A killed run holds the lock until it expires. */
async function takeLock({ redis, from }: MoveDependencies, token: string): Promise<boolean> {
  const endsAtMs = performance.now() + 2 * leaseMs;
  while (performance.now() < endsAtMs) {
    if ((await redis.set(keysOf.mover(from), token, 'PX', leaseMs, 'NX')) === 'OK') return true;
    await delay(lookEveryMs);
  }
  return false;
}

class MoverLostError extends Error {
  readonly code = 'BRAND_MOVE_LOST';
}

async function renew({ redis, from }: MoveDependencies, token: string): Promise<void> {
  if (!(await renewLock(redis, keysOf.mover(from), token, leaseMs)))
    throw new MoverLostError('Another `brand move` of this brand is running.');
}

function throttled(act: () => Promise<void>): () => Promise<void> {
  let actedAtMs = -Infinity;
  return async () => {
    if (performance.now() < actedAtMs + renewEveryMs) return;
    actedAtMs = performance.now();
    await act();
  };
}

/**
 * Tells every process: the new brand looks under the old names, the old one is closed. Until all claims are copied nothing is
 * accepted or swept for either, since duplicates could not be recognized; the spool takes new callbacks.
 */
async function announce(dependencies: MoveDependencies, token: string, old: Lineage): Promise<void> {
  const { redis, from, to, lineageTtlMs } = dependencies;
  const mine = await readLineage(redis, to);
  const formerly = new Set([...namesOf(from, old), ...mine.formerly]);
  formerly.delete(to.brand);
  const holdKey = keysOf.lineageHold(to);
  await redis.sadd(keysOf.incoming(to), from.brand);
  await redis.set(holdKey, token, 'PX', leaseMs);
  await redis.set(keysOf.lineage(to), JSON.stringify({ formerly: [...formerly], move: token }), 'PX', lineageTtlMs);
  await redis.set(keysOf.lineage(from), JSON.stringify({ movedTo: to.brand, move: token }));
  // Claims alone leave no other trace by which a start would notice the brand (brand-registry.ts).
  await redis.xadd(`${to.base}:events`, 'MAXLEN', '~', eventsMax, '*', 'event', 'brand-moved', 'from', from.brand);
  const heldByOthers = await Promise.all([from, to].map((queue) => redis.getset(keysOf.reconciler(queue), token)));
  // A holder that is a killed move does not reconcile, so it needs no wait.
  if (heldByOthers.some((holder) => holder?.startsWith(tokenStart) === false)) await delay(reconcilerStopMs);
  const keepHold = throttled(async () => {
    await renew(dependencies, token);
    await redis.pexpire(holdKey, leaseMs);
  });
  await carryMemory(dependencies, { keep: true }, keepHold);
  await redis.del(holdKey);
  await releaseLock(redis, keysOf.reconciler(to), token);
}

async function moveAll(dependencies: MoveDependencies, token: string): Promise<MoveResult> {
  const { redis, from, to, claimTtlMs, onProgress } = dependencies;
  const moved: Moved = { jobs: 0, claims: 0, quarantined: 0 };
  const paused = (await redis.hexists(`${from.base}:meta`, 'paused')) === 1;
  if (paused) await pauseForwarding(redis, to);
  for (let round = 1; ; round += 1) {
    await moveAllJobs(dependencies, token, moved);
    await followDeliveries(redis, from, { all: true }); // else jobs that a worker removed on completion would be delivered again
    moved.quarantined += await carryState(dependencies, token);
    const keepLock = throttled(() => renew(dependencies, token));
    moved.claims += await carryMemory(dependencies, { keep: false }, keepLock);
    onProgress(moved);
    await removeLeftovers(dependencies);
    const left = await readHoldings(redis, from, claimTtlMs);
    if (isNothing({ ...left, mayHaveClaims: false })) break;
    if (round === roundsMax) return { kind: 'left', moved, paused, left };
  }
  await redis.set(keysOf.lineage(from), JSON.stringify({ movedTo: to.brand, move: token, isComplete: true }));
  await forgetBrand(redis, from.naming, from.brand);
  await redis.del(keysOf.taken(to, from.brand));
  await redis.srem(keysOf.incoming(to), from.brand);
  return { kind: 'moved', moved, paused };
}

/** Until none is left, or only those that workers do not return in time. */
async function moveAllJobs(dependencies: MoveDependencies, token: string, moved: Moved): Promise<void> {
  const { redis, from, patienceMs, onProgress } = dependencies;
  const endsAtMs = performance.now() + patienceMs;
  for (;;) {
    const jobs = await moveJobs(dependencies);
    moved.jobs += jobs;
    onProgress(moved);
    await renew(dependencies, token);
    if (jobs > 0) continue;
    if ((await redis.llen(`${from.base}:active`)) === 0 || performance.now() > endsAtMs) return;
    await delay(lookEveryMs);
  }
}
