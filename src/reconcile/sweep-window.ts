// One window of a sweep: the transactions created in it, page by page, compared with what is known here.
//
// Holds one page in memory, whatever the window holds. Reads a page's claims in one go, asks the gateway for nothing
// but what is missing or differs, and puts that in. Ends with `failed` where the gateway or the storage is out: then
// the window has to be swept again, which is safe, since intake delivers nothing twice.
import { isTerminal } from '../callback/identity.ts';
import type { Callback } from '../callback/parse-callback.ts';
import { agrees, type Claim } from '../queue/claims.ts';
import type { SweepCounts } from '../queue/reconciliation-report.ts';
import { recordedWithinMs } from '../queue/delivery-records.ts';
import { unwatch, watch } from '../queue/watched.ts';
import type { BrandScope } from './brand-scope.ts';
import { inParallel } from './in-parallel.ts';
import type { Judgement } from './judge.ts';
import { judgePage, type Judged } from './judge-page.ts';
import { putIn } from './put-in.ts';
import type { Transaction } from './transaction.ts';
import { windowPages, type Window } from './window-pages.ts';

export interface SweepMode {
  /** False: only count. */
  readonly putIn: boolean;
  /** Also what is older than RECONCILE_SINCE and DEDUP_TTL allow; only by hand. */
  readonly force: boolean;
  readonly pageSize: number;
  /** Stands in the log lines and jobs of this sweep. */
  readonly requestId: string;
  /** What this sweep may still fetch one by one; beyond it, a missing body comes from the page. */
  readonly statusBodies: { left: number };
}

export type SweptWindow =
  | { readonly kind: 'swept'; readonly counts: SweepCounts }
  | { readonly kind: 'failed'; readonly counts: SweepCounts; readonly reason: string };

/** A sweep that misses more is a bulk catch-up. */
export const statusBodiesPerSweepMax = 100;
/** Enough to fill the batches of intake; status calls keep their own pace. */
const atOnceMax = 64;
/** Pending ones are looked up one by one from this age on. */
export const watchAfterMs = 1_800_000;

export async function sweepWindow(
  scope: BrandScope,
  window: Window,
  mode: SweepMode,
  signal: AbortSignal,
): Promise<SweptWindow> {
  const earlier = noCounts();
  let counts = noCounts();
  for await (const step of windowPages(scope.gateway, window, mode.pageSize, signal)) {
    switch (step.kind) {
      case 'anew':
        scope.log.warn({ event: 'reconcile.page_too_large', brand: scope.brand, pageSize: step.pageSize });
        addCounts(earlier, counts);
        counts = noCounts();
        break;
      case 'failed':
        return { kind: 'failed', counts: withEarlier(counts, earlier), reason: step.reason };
      case 'page': {
        counts.errors += step.page.unreadable;
        const stored = await takePage(scope, step.page.transactions, { mode, counts, signal });
        if (!stored) return { kind: 'failed', counts: withEarlier(counts, earlier), reason: 'storage-unavailable' };
      }
    }
  }
  return { kind: 'swept', counts: withEarlier(counts, earlier) };
}

/** What was put in before the window began anew was known when it came again. */
function withEarlier(counts: SweepCounts, { injected, corrections }: SweepCounts): SweepCounts {
  return {
    ...counts,
    known: Math.max(counts.known - injected - corrections, 0),
    missing: counts.missing + injected,
    injected: counts.injected + injected,
    corrections: counts.corrections + corrections,
  };
}

interface PageWork {
  readonly mode: SweepMode;
  readonly counts: SweepCounts;
  readonly signal: AbortSignal;
}

/** False where something could not be stored. */
async function takePage(scope: BrandScope, page: readonly Transaction[], work: PageWork): Promise<boolean> {
  const { mode, counts, signal } = work;
  const judged = await judgeTwice(scope, page, signal);
  counts.seen += judged.length;
  for (const { judgement } of judged) count(counts, judgement, mode.force);
  if (!mode.putIn) return true;
  await watchPending(scope, judged);
  let stored = true;
  await inParallel(judged, atOnceMax, async (one) => {
    signal.throwIfAborted();
    const result = await act(scope, one, work);
    if (result === 'unavailable') stored = false;
    if (result === 'injected') counts.injected += 1;
    if (result === 'corrected') counts.corrections += 1;
    if (result === 'unverified') counts.errors += 1;
  });
  return stored;
}

/**
 * A job that is gone may be in the hands of a worker, whose lease or record takes a moment to show. So what seems removed
 * is looked at again before anything is said or done about it.
 */
async function judgeTwice(
  scope: BrandScope,
  page: readonly Transaction[],
  signal: AbortSignal,
): Promise<readonly Judged[]> {
  const judged = await judgePage(scope, page);
  if (!judged.some(({ judgement, claim }) => judgement === 'missing' && claim !== undefined)) return judged;
  await scope.clock.sleep(recordedWithinMs, signal);
  return judgePage(scope, page);
}

async function watchPending(scope: BrandScope, judged: readonly Judged[]): Promise<void> {
  const { redis, queue, clock, log, brand } = scope;
  const nowMs = clock.now();
  const ended = judged.filter(({ transaction }) => isTerminal(transaction.callback.status));
  await unwatch(
    redis,
    queue,
    ended.map(({ transaction }) => transaction.callback.gatewayReference),
  );
  const pending = judged.flatMap(({ transaction: { callback, createdAtMs = nowMs }, judgement }) =>
    judgement === 'pending' && createdAtMs <= nowMs - watchAfterMs
      ? [{ gatewayReference: callback.gatewayReference, createdAtMs, dueMs: nowMs }]
      : [],
  );
  const taken = await watch(redis, queue, pending);
  if (!taken) log.warn({ event: 'reconcile.watch_full', brand, pending: pending.length });
}

type Acted = 'nothing' | 'injected' | 'corrected' | 'unverified' | 'unavailable';

async function act(scope: BrandScope, judged: Judged, work: PageWork): Promise<Acted> {
  const { transaction, claim, judgement } = judged;
  switch (judgement) {
    case 'known':
    case 'pending':
    case 'other':
    case 'early':
      return 'nothing';
    case 'tooOld':
      return work.mode.force && isTerminal(transaction.callback.status) ? inject(scope, judged, work) : 'nothing';
    case 'missing':
      return inject(scope, judged, work);
    case 'differs':
      return claim === undefined ? 'nothing' : correct(scope, transaction, claim, work);
  }
}

async function inject(scope: BrandScope, judged: Judged, { mode, signal }: PageWork): Promise<Acted> {
  const callback = await bodyToInject(scope, judged, mode, signal);
  if (callback === undefined) return 'unverified';
  const { requestId } = mode;
  const result = await putIn(scope, { callback, source: 'records', requestId, removed: judged.claim });
  if (result === 'unavailable') return result;
  return result === 'stored' ? 'injected' : 'nothing';
}

/** Once it has been missing for this long, what the gateway lists is delivered although no status reply could be had. */
const listedWillDoAfterMs = 3_600_000;

/**
 * The status reply, whose bytes are the gateway's own; in a bulk catch-up, what the page lists. Undefined where there
 * is no terminal status reply: then a later sweep tries again.
 */
async function bodyToInject(
  { gateway, clock }: BrandScope,
  { transaction: { callback }, terminalSinceMs }: Judged,
  { statusBodies }: SweepMode,
  signal: AbortSignal,
): Promise<Callback | undefined> {
  if (statusBodies.left <= 0) return callback;
  statusBodies.left -= 1;
  const answer = await gateway.status(callback.gatewayReference, signal);
  if (answer.kind === 'found' && isTerminal(answer.transaction.callback.status)) return answer.transaction.callback;
  return terminalSinceMs < clock.now() - listedWillDoAfterMs ? callback : undefined;
}

/** Nothing is corrected on the word of a list alone: the status reply decides, and is what is delivered. */
async function correct(
  scope: BrandScope,
  listed: Transaction,
  claim: Claim,
  { mode, signal }: PageWork,
): Promise<Acted> {
  const answer = await scope.gateway.status(listed.callback.gatewayReference, signal);
  if (answer.kind !== 'found') return 'unverified';
  const { callback } = answer.transaction;
  if (!isTerminal(callback.status) || agrees(claim, callback.status, callback.finalAmount)) return 'nothing';
  const result = await putIn(scope, { callback, source: 'correction', replaces: claim, requestId: mode.requestId });
  if (result === 'unavailable') return result;
  return result === 'stored' ? 'corrected' : 'nothing';
}

function count(counts: SweepCounts, judgement: Judgement, force: boolean): void {
  if (judgement === 'differs') return; // counted as a correction once it is verified
  if (judgement === 'tooOld' && force) counts.missing += 1;
  else counts[judgement] += 1;
}

export function noCounts(): SweepCounts {
  return {
    seen: 0,
    known: 0,
    pending: 0,
    early: 0,
    other: 0,
    missing: 0,
    injected: 0,
    corrections: 0,
    tooOld: 0,
    errors: 0,
  };
}

export function addCounts(total: SweepCounts, more: SweepCounts): void {
  total.seen += more.seen;
  total.known += more.known;
  total.pending += more.pending;
  total.early += more.early;
  total.other += more.other;
  total.missing += more.missing;
  total.injected += more.injected;
  total.corrections += more.corrections;
  total.tooOld += more.tooOld;
  total.errors += more.errors;
}
