// One window of a sweep: the transactions created in it, page by page, compared with the claims here.
//
// Holds one page in memory, whatever the window's size. Reads a page's claims at once, asks the gateway only about missing
// and different transactions, and injects those. A record that causes an error costs only itself: it is counted, and looked
// at again later. Ends with `failed` if the gateway or the storage is down: then the window must be swept again, which is
// safe, since intake delivers nothing twice.
import { isTerminal } from '../../callback/identity.ts';
import type { SweepCounts } from '../../store/reconciliation/reconciliation-report.ts';
import type { BrandScope } from '../brand-scope.ts';
import { confirmListed } from '../confirm/confirm-listed.ts';
import { inParallel } from '../../async/in-parallel.ts';
import { classifyTwice, type Classified } from './classify-page.ts';
import type { RecordsPage } from '../gateway/records-page.ts';
import { createSweepAsk, settle, type AskStatus, type Settled } from './settle.ts';
import { addCounts, noCounts, withEarlier } from './sweep-counts.ts';
import { askAgainMs, watchUnfinished, watchUnreadable, type Outcome } from './watch-unfinished.ts';
import type { Listed } from './unlisted.ts';
import { windowPages, type Window } from './window-pages.ts';

export interface SweepMode {
  /** False: only counts. */
  readonly inject: boolean;
  /** Also injects what RECONCILE_SINCE and DEDUP_TTL exclude; only by hand. */
  readonly force: boolean;
  readonly pageSize: number;
  /** Appears in the log lines and jobs of this sweep. */
  readonly requestId: string;
}

export interface SweepOptions extends SweepMode {
  /** Receives what the gateway lists. */
  readonly listed?: Listed | undefined;
}

export type SweptWindow =
  | { readonly kind: 'swept'; readonly counts: SweepCounts }
  | { readonly kind: 'failed'; readonly counts: SweepCounts; readonly reason: string };

/** Enough to fill intake's batches; status calls have their own pace. */
const atOnceMax = 64;
const linesMax = 20;

interface PageWork {
  readonly window: Window;
  readonly mode: SweepOptions;
  readonly ask: AskStatus;
  /** How many log lines may still name an unreadable record; all are counted. */
  readonly lines: { left: number };
  readonly signal: AbortSignal;
}

export async function sweepWindow(
  scope: BrandScope,
  window: Window,
  mode: SweepOptions,
  signal: AbortSignal,
): Promise<SweptWindow> {
  const work = { window, mode, signal, ask: createSweepAsk(scope, signal), lines: { left: linesMax } };
  const taken = noCounts(); // of parts that were read completely
  const earlier = noCounts(); // of parts that are read again
  let counts = noCounts();
  const ended = () => {
    addCounts(taken, counts);
    counts = noCounts();
  };
  for await (const step of windowPages(scope.gateway, window, mode.pageSize, signal)) {
    switch (step.kind) {
      case 'restarted':
        addCounts(earlier, counts);
        counts = noCounts();
        break;
      case 'unreadable':
        logUnreadable(scope, work, { ...isoWindow(step.window), reason: 'page' });
        counts.unreadable += 1;
        counts.errors += 1;
        ended();
        break;
      case 'part':
        ended();
        break;
      case 'failed':
        ended();
        return { kind: 'failed', counts: withEarlier(taken, earlier), reason: step.reason };
      case 'page': {
        const isStored = await takePage(scope, step.page, counts, work);
        if (isStored) break;
        ended();
        return { kind: 'failed', counts: withEarlier(taken, earlier), reason: 'storage-unavailable' };
      }
    }
  }
  return { kind: 'swept', counts: withEarlier(taken, earlier) };
}

/** False if something could not be stored. */
async function takePage(scope: BrandScope, page: RecordsPage, counts: SweepCounts, work: PageWork): Promise<boolean> {
  const { mode, window } = work;
  for (const { gatewayReference, reason } of page.unreadable) logUnreadable(scope, work, { gatewayReference, reason });
  counts.unreadable += page.unreadable.length;
  counts.errors += page.unreadable.length;
  const classified = await classifyTwice(scope, page.transactions, work.signal);
  counts.seen += classified.length;
  mode.listed?.note(page.transactions);
  for (const { classification } of classified) {
    if (classification === 'tooOld' && mode.force) counts.missing += 1;
    else if (classification !== 'differs') counts[classification] += 1; // counted as a correction once verified
  }
  if (!mode.inject) return true;
  await confirmListed(scope, page.transactions, mode.requestId);
  const outcomes = await settleAll(scope, classified, work);
  for (const { settled } of outcomes) countSettled(counts, settled);
  await watchUnfinished(scope, outcomes, window.fromMs);
  await watchUnreadable(scope, page.unreadable, window.fromMs);
  return outcomes.every(({ settled }) => settled !== 'unstored');
}

async function settleAll(scope: BrandScope, page: readonly Classified[], work: PageWork): Promise<Outcome[]> {
  const { mode, ask, signal } = work;
  const called = page.filter((classified) => callsForAction(classified, mode));
  const settledOf = new Map<Classified, Settled>();
  await inParallel(called, atOnceMax, async (classified) => {
    signal.throwIfAborted();
    const { gatewayReference } = classified.transaction.callback;
    // It is on the watch list then, and asked about in its turn.
    if (scope.gateway.answeredWithin(gatewayReference, askAgainMs(scope.limits))) return;
    try {
      settledOf.set(classified, await settle(scope, classified, { ask, requestId: mode.requestId }));
    } catch (error) {
      signal.throwIfAborted();
      const { brand, log } = scope;
      log.error({ event: 'reconcile.record_failed', brand, gatewayReference, requestId: mode.requestId, err: error });
      settledOf.set(classified, 'unanswered');
    }
  });
  return page.map((classified) => ({ classified, settled: settledOf.get(classified) }));
}

function callsForAction({ classification, claim, transaction }: Classified, { force }: SweepMode): boolean {
  switch (classification) {
    case 'missing':
    case 'reversed':
      return true;
    case 'differs':
      return claim !== undefined;
    case 'tooOld':
      return force && isTerminal(transaction.callback.status);
    case 'known':
    case 'pending':
    case 'other':
    case 'early':
      return false;
  }
}

function countSettled(counts: SweepCounts, settled: Settled | undefined): void {
  switch (settled) {
    case 'injected':
      counts.injected += 1;
      break;
    case 'corrected':
      counts.corrections += 1;
      break;
    case 'unanswered':
      counts.errors += 1;
      counts.unconfirmed += 1;
      break;
    case 'unfinished':
    case 'denied':
      counts.unconfirmed += 1;
      break;
    case 'known':
    case 'overtaken':
    case 'unstored':
    case undefined:
      break;
  }
}

/** Logged and counted in every sweep that reads it, so that an alert on the count lasts as long as the problem. */
function logUnreadable(
  { log, brand, metrics }: BrandScope,
  { mode, lines }: PageWork,
  what: Record<string, unknown>,
): void {
  lines.left -= 1;
  if (lines.left >= 0) log.warn({ event: 'reconcile.record_unreadable', brand, requestId: mode.requestId, ...what });
  if (mode.inject) metrics?.reconciliationUnreadable.inc();
}

export function isoWindow({ fromMs, toMs }: Window): { from: string; to: string } {
  return { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
}
