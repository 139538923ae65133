// Puts transactions that a sweep saw unfinished on the watch list (watch-look-ups.ts), until they end or are too old: sweeps
// find a transaction by its creation, and it may end long after the last sweep of that time.
import { unwatch, watch, type ToWatch } from '../../store/reconciliation/watched.ts';
import type { BrandScope } from '../brand-scope.ts';
import { isTooOld, type ClassifyLimits } from './classify.ts';
import type { Classified } from './classify-page.ts';
import type { Transaction } from '../gateway/transaction.ts';
import type { UnreadableRecord } from '../gateway/records-page.ts';
import type { Settled } from './settle.ts';
import { terminalClaims } from './terminal-claims.ts';

/** The gateway's rule: at most one call per transaction every two minutes. */
const askAgainMinMs = 120_000;
const leastMs = 1_000;
const unansweredMs = 5_000;
/** Sweeps look often enough at younger transactions. */
const watchAfterMaxMs = 1_800_000;
/** The longest time between two look-ups of a watched transaction. */
export const watchIntervalMaxMs = 21_600_000;

/** When to ask again after an unsatisfactory answer; sooner if RECONCILE_GRACE is shorter. */
export function askAgainMs({ graceMs }: ClassifyLimits): number {
  return Math.min(Math.max(graceMs, leastMs), askAgainMinMs);
}

/** The older, the rarer: about forty look-ups on its first day. */
export function watchIntervalMs(ageMs: number, leastMs = askAgainMinMs): number {
  return Math.min(Math.max(leastMs, ageMs / 10), watchIntervalMaxMs);
}

/** Half a lookback at most: a sweep sees every transaction at an age at which it is watched. */
export function watchAfterMs({ lookbackMs }: ClassifyLimits): number {
  return Math.min(watchAfterMaxMs, lookbackMs / 2);
}

export interface Outcome {
  readonly classified: Classified;
  /** Undefined if it was not asked about, because that happened a moment ago. */
  readonly settled: Settled | undefined;
}

/** Call after a page was processed. `listedFromMs`: nothing in it was created before. */
export async function watchUnfinished(scope: BrandScope, outcomes: readonly Outcome[], listedFromMs: number) {
  const decided = outcomes.map(({ classified, settled }) => decide(scope, classified, settled, listedFromMs));
  const ended = outcomes.filter((_, index) => decided[index] === 'ended');
  await unwatch(
    scope.redis,
    scope.queue,
    ended.map(({ classified }) => classified.transaction.callback.gatewayReference),
  );
  await startWatching(
    scope,
    decided.filter((one) => typeof one !== 'string'),
  );
}

function decide(
  { clock, limits }: BrandScope,
  { transaction, classification, terminalSinceMs }: Classified,
  settled: Settled | undefined,
  listedFromMs: number,
): ToWatch | 'ended' | 'left' {
  const nowMs = clock.now();
  const { gatewayReference } = transaction.callback;
  const createdAtMs = createdAt(transaction, listedFromMs, nowMs);
  if (isTooOld(createdAtMs, nowMs, limits)) return 'ended';
  const watched = { gatewayReference, createdAtMs, isPending: classification === 'pending' };
  const isYoung = createdAtMs > nowMs - watchAfterMs(limits);
  switch (classification) {
    case 'known':
    case 'tooOld':
      return 'ended';
    case 'pending':
    case 'other':
      return isYoung ? 'left' : { ...watched, dueMs: nowMs, over: 'keep' };
    case 'early':
      return isYoung ? 'left' : { ...watched, dueMs: terminalSinceMs + limits.graceMs, over: 'no-later' };
    case 'reversed':
      if (isOpen(settled)) return { ...watched, ...nextAsk(settled, nowMs, limits) };
      return isYoung ? 'left' : { ...watched, dueMs: nowMs + askAgainMs(limits), over: 'keep' }; // it may still end
    case 'missing':
    case 'differs':
      if (!isOpen(settled)) return 'ended';
      return { ...watched, ...nextAsk(settled, nowMs, limits) };
  }
}

/** A creation time in the future would count as young for ever, and no sweep would look there again. */
function createdAt({ createdAtMs }: Pick<Transaction, 'createdAtMs'>, listedFromMs: number, nowMs: number): number {
  return createdAtMs === undefined || createdAtMs > nowMs ? listedFromMs : createdAtMs;
}

/** An unanswered call does not count against the pace. A transaction that was not asked about keeps its time. */
function nextAsk(settled: Settled | undefined, nowMs: number, limits: ClassifyLimits): Pick<ToWatch, 'dueMs' | 'over'> {
  const waitMs = askAgainMs(limits);
  if (settled === undefined) return { dueMs: nowMs + waitMs, over: 'keep' };
  return { dueMs: nowMs + (settled === 'unanswered' ? Math.min(unansweredMs, waitMs) : waitMs), over: 'no-sooner' };
}

function isOpen(settled: Settled | undefined): boolean {
  switch (settled) {
    case undefined:
    case 'unfinished':
    case 'denied':
    case 'unanswered':
    case 'overtaken':
    case 'unstored':
      return true;
    case 'injected':
    case 'corrected':
    case 'known':
      return false;
  }
}

/** A record that is unreadable except for its reference is asked about by that, unless its callback came. */
export async function watchUnreadable(
  scope: BrandScope,
  records: readonly UnreadableRecord[],
  listedFromMs: number,
): Promise<void> {
  const { clock, limits } = scope;
  const nowMs = clock.now();
  const found = records.flatMap((record) => {
    const { gatewayReference } = record;
    const createdAtMs = createdAt(record, listedFromMs, nowMs);
    return gatewayReference === undefined || isTooOld(createdAtMs, nowMs, limits)
      ? []
      : [{ gatewayReference, createdAtMs }];
  });
  const claims = await terminalClaims(
    scope,
    found.map(({ gatewayReference }) => gatewayReference),
  );
  const dueMs = nowMs + askAgainMs(limits);
  await startWatching(
    scope,
    found
      .filter((_, index) => claims[index] === undefined)
      .map((one) => ({ ...one, dueMs, over: 'keep', isPending: false })),
  );
}

async function startWatching({ redis, queue, log, brand }: BrandScope, toWatch: readonly ToWatch[]): Promise<void> {
  const left = await watch(redis, queue, toWatch);
  if (left > 0) log.warn({ event: 'reconcile.watch_full', brand, left });
}
