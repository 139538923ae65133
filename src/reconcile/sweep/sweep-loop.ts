// The sweeps of one brand, one after another: runs the next step of schedule.ts, and stores the progress in Redis.
//
// A failing window is set aside (behind.ts) and retried separately; it holds up neither the next window nor the checkpoint.
// The checkpoint moves past a window only in the same write that records its outcome.
import {
  storeSweepReport,
  type SweepCounts,
  type SweepReport,
} from '../../store/reconciliation/reconciliation-report.ts';
import { readSweepState, writeSweepState, type SweepState } from '../../store/reconciliation/sweep-state.ts';
import { behindAfter, type Swept } from './behind.ts';
import type { BrandScope } from '../brand-scope.ts';
import { oldestInjectedMs } from './classify.ts';
import { checkpointAfter, narrowWindows, nextStep, type ScheduleSettings, type Step } from './schedule.ts';
import { soundState } from './sound-state.ts';
import { addCounts, noCounts } from './sweep-counts.ts';
import { isoWindow, sweepWindow, type SweepMode, type SweepOptions } from './sweep-window.ts';
import { askForUnlisted, createListed, type Listed } from './unlisted.ts';
import type { Window } from './window-pages.ts';

export interface ReconcilerSettings extends ScheduleSettings {
  readonly pageSize: number;
}

/** A sweep over several windows; recent sweeps may interrupt a longer one. */
interface Sweep {
  readonly kind: 'recent' | 'full';
  readonly window: Window;
  readonly startedAtMs: number;
  readonly counts: SweepCounts;
  readonly mode: SweepMode;
  /** The failure of the first window that failed. */
  failure: string | undefined;
  failed: number;
}

/** After this many failures in a row the gateway counts as down: no further window is tried for a while. */
const failuresInARowMax = 3;

export class LockLostError extends Error {
  readonly code = 'RECONCILER_LOCK_LOST';

  constructor() {
    super('another process reconciles this brand');
  }
}

/** Ends only by rejection: when the signal aborts, the lock is lost, or Redis fails. */
export async function runSweepLoop(
  scope: BrandScope,
  settings: ReconcilerSettings,
  token: string,
  signal: AbortSignal,
): Promise<never> {
  const { redis, queue, clock, limits, log, brand } = scope;
  const { everyMs } = settings;
  let state = await readSweepState(redis, queue);
  let recentDueMs = 0;
  let planDueMs = 0;
  let behindFirst = false;
  let failuresInARow = 0;
  let full: Sweep | undefined;
  let listedBefore: Listed | undefined;

  for (;;) {
    signal.throwIfAborted();
    const nowMs = clock.now();
    const oldestMs = oldestInjectedMs(nowMs, limits.dedupTtlMs);
    state = discardFutureState(nowMs, oldestMs);
    const step = nextStep({ state, recentDueMs, planDueMs, behindFirst, oldestMs, nowMs, settings });
    switch (step.kind) {
      case 'first':
        if (!(await sweepFirst(step.window))) await clock.sleep(everyMs, signal);
        break;
      case 'recent':
        await sweepRecent(step.window);
        // Slow recent sweeps take at most half of the time; the catch-up gets the rest.
        recentDueMs = Math.max(nowMs + everyMs, 2 * clock.now() - nowMs);
        break;
      case 'plan':
        logGap(step.plan.fromMs);
        await save({ ...state, plannedAtMs: nowMs, plan: step.plan });
        break;
      case 'window':
        behindFirst = true;
        await sweepPlanned(step);
        break;
      case 'behind':
        behindFirst = false;
        await sweepBehind(step.window);
        break;
      case 'wait':
        // Never longer than until the next sweep, even if the clock is set.
        await clock.sleep(Math.min(Math.max(step.untilMs - nowMs, 1), everyMs), signal);
        break;
    }
  }

  /** The state in memory and in Redis, repaired for the present time. */
  function discardFutureState(nowMs: number, oldestMs: number): SweepState {
    recentDueMs = Math.min(recentDueMs, nowMs + everyMs);
    planDueMs = Math.min(planDueMs, nowMs + everyMs);
    const sound = soundState(state, nowMs, oldestMs);
    if (state.checkpointMs !== undefined && state.checkpointMs - (sound.checkpointMs ?? 0) > everyMs)
      log.warn({ event: 'reconcile.clock_was_ahead', brand, checkpoint: isoOf(state.checkpointMs) });
    const givenUp = (state.behind?.length ?? 0) - (sound.behind?.length ?? 0);
    if (givenUp > 0) log.warn({ event: 'reconcile.windows_given_up', brand, windows: givenUp });
    return sound;
  }

  /** The first sweep only counts, so that whoever starts the service sees what will be delivered before it is. */
  async function sweepFirst(window: Window): Promise<boolean> {
    const sweep = begin('full', window, false);
    let swept = 0;
    for (const narrow of narrowWindows(window, settings.windowMs)) {
      if ((await sweepInto(sweep, narrow)).isSwept) swept += 1;
      if (swept === 0 && sweep.failed >= failuresInARowMax) break;
    }
    if (swept === 0) {
      await report(sweep);
      return false;
    }
    const { seen, missing, tooOld } = sweep.counts;
    log[missing > 0 || sweep.failed > 0 ? 'warn' : 'info']({
      event: 'reconcile.first_sweep',
      brand,
      ...isoWindow(window),
      seen,
      aboutToDeliver: missing,
      tooOld,
      failedWindows: sweep.failed,
    });
    const { fromMs, toMs } = window;
    const plan = { fromMs, toMs, atMs: fromMs };
    await save({ ...state, beganMs: fromMs, checkpointMs: fromMs, plannedAtMs: toMs, plan });
    return true;
  }

  async function sweepRecent(window: Window): Promise<void> {
    const sweep = begin('recent', window, true);
    let { behind = [] } = state;
    for (const narrow of narrowWindows(window, settings.windowMs)) {
      const swept = await sweepInto(sweep, narrow);
      if (swept.isSwept && !swept.isOpen) behind = behindAfter(behind, narrow, swept, { nowMs: clock.now(), everyMs });
    }
    const isWhole = sweep.failed === 0;
    await save(
      endedWell(sweep, {
        ...state,
        behind,
        checkpointMs: isWhole ? checkpointAfter(state.checkpointMs, window) : state.checkpointMs,
      }),
    );
    await report(sweep);
  }

  async function sweepPlanned({ plan, window }: Extract<Step, { kind: 'window' }>): Promise<void> {
    full ??= begin('full', { fromMs: plan.fromMs, toMs: plan.toMs }, true);
    const isEmpty = window.toMs <= window.fromMs;
    const listed = isEmpty || scope.confirm === 'off' ? undefined : createListed(brand, window);
    const swept = isEmpty ? { isSwept: true, isOpen: false } : await sweepInto(full, window, listed);
    await askAboutUnlisted(swept, listed);
    const isLast = window.toMs >= plan.toMs;
    const next = {
      ...after(window, swept),
      // From the plan's position: if the window begins later, the time between has become too old to be injected.
      checkpointMs: checkpointAfter(state.checkpointMs, { fromMs: plan.atMs, toMs: window.toMs }),
      plan: isLast ? undefined : { ...plan, atMs: window.toMs },
    };
    await save(isLast ? endedWell(full, next) : next);
    if (!isLast) return;
    await report(full);
    full = undefined;
  }

  /** Unlisted callbacks were already asked about while they were new. */
  async function askAboutUnlisted({ isSwept, isOpen }: Swept, listed: Listed | undefined): Promise<void> {
    const before = listedBefore;
    listedBefore = isSwept && !isOpen ? listed : undefined;
    if (listedBefore === undefined || before?.toMs !== listedBefore.fromMs) return;
    if (listedBefore.toMs > clock.now() - scope.confirmAfterMs) return;
    const callbacks = await askForUnlisted(scope, before, listedBefore);
    if (callbacks > 0) log.info({ event: 'reconcile.unlisted', brand, callbacks, ...isoWindow(listedBefore) });
  }

  async function sweepBehind(window: Window): Promise<void> {
    const sweep = begin('full', window, true);
    const swept = await sweepInto(sweep, window);
    await save(after(window, swept));
    log[swept.isSwept ? 'info' : 'warn']({
      event: 'reconcile.window_again',
      brand,
      requestId: sweep.mode.requestId,
      ...isoWindow(window),
      ...sweep.counts,
      failure: sweep.failure,
    });
  }

  /** Records a window's outcome, and waits if the gateway seems to be down. */
  function after(window: Window, swept: Swept): SweepState {
    const nowMs = clock.now();
    failuresInARow = swept.isSwept ? 0 : failuresInARow + 1;
    if (failuresInARow >= failuresInARowMax) {
      planDueMs = nowMs + everyMs;
      failuresInARow = 0;
    }
    return { ...state, behind: behindAfter(state.behind ?? [], window, swept, { nowMs, everyMs }) };
  }

  function endedWell(sweep: Sweep, next: SweepState): SweepState {
    if (sweep.failed > 0) return next;
    const nowMs = clock.now();
    const isAll = !(next.behind ?? []).some(({ isSwept }) => !isSwept);
    if (sweep.kind === 'full' && !isAll) return next;
    const kind = sweep.kind === 'full' ? { fullMs: nowMs } : { recentMs: nowMs };
    return { ...next, endedWell: { ...next.endedWell, ...kind, ...(isAll && { allMs: nowMs }) } };
  }

  async function sweepInto(sweep: Sweep, window: Window, listed?: Listed): Promise<Swept> {
    const { counts, failure } = await sweepOne(window, { ...sweep.mode, listed });
    addCounts(sweep.counts, counts);
    if (failure !== undefined) sweep.failed += 1;
    sweep.failure ??= failure;
    return { isSwept: failure === undefined, isOpen: counts.unreadable + counts.unconfirmed > 0 };
  }

  /** Any error in a window belongs to that window. */
  async function sweepOne(window: Window, mode: SweepOptions): Promise<{ counts: SweepCounts; failure?: string }> {
    try {
      const swept = await sweepWindow(scope, window, mode, signal);
      return { counts: swept.counts, ...(swept.kind === 'failed' && { failure: swept.reason }) };
    } catch (error) {
      signal.throwIfAborted();
      log.error({
        event: 'reconcile.window_broke',
        brand,
        requestId: mode.requestId,
        ...isoWindow(window),
        err: error,
      });
      return { counts: noCounts(), failure: 'unexpected-error' };
    }
  }

  function begin(kind: Sweep['kind'], window: Window, inject: boolean): Sweep {
    const startedAtMs = clock.now();
    const requestId = `sweep-${startedAtMs.toString(36)}`;
    const mode = { inject, force: false, pageSize: settings.pageSize, requestId };
    return { kind, window, startedAtMs, counts: noCounts(), mode, failure: undefined, failed: 0 };
  }

  async function save(next: SweepState): Promise<void> {
    if (!(await writeSweepState(redis, queue, token, next))) throw new LockLostError();
    state = next;
  }

  /** The time between the checkpoint and the plan is too old to be injected; logs that. */
  function logGap(fromMs: number): void {
    const { checkpointMs = 0 } = state;
    if (checkpointMs >= fromMs) return;
    const gap = isoWindow({ fromMs: checkpointMs, toMs: fromMs });
    log.warn({ event: 'reconcile.away_too_long', brand, ...gap, hint: 'reconcile --force' });
    state = { ...state, checkpointMs: fromMs };
  }

  async function report({ kind, window, startedAtMs, counts, mode, failure, failed }: Sweep): Promise<void> {
    const fields: SweepReport = {
      kind,
      ...isoWindow(window),
      startedAt: isoOf(startedAtMs),
      ms: Math.max(clock.now() - startedAtMs, 0),
      ...counts,
      errors: counts.errors + failed,
      ...(failure !== undefined && { failure }),
    };
    const level = failure === undefined ? 'info' : 'warn';
    log[level]({ event: 'reconcile.swept', brand, requestId: mode.requestId, ...fields });
    await storeSweepReport(redis, queue, fields);
  }
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
