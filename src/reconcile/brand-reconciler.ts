// Reconciles one brand for as long as this process is its reconciler: sweeps and look-ups, side by side.
//
// Survives an outage of the gateway or of Redis: what failed is logged and tried again from where it stopped. Only
// completed windows move the checkpoint.
import { storeSweepReport, type SweepCounts, type SweepReport } from '../queue/reconciliation-report.ts';
import { readSweepState, writeSweepState, type SweepState } from '../queue/sweep-state.ts';
import type { BrandScope } from './brand-scope.ts';
import { oldestInjectedMs } from './judge.ts';
import { lead } from './leadership.ts';
import { lookUpDue } from './look-ups.ts';
import { checkpointAfter, narrowWindows, nextStep, type ScheduleSettings, type Step } from './schedule.ts';
import { addCounts, noCounts, statusBodiesPerSweepMax, sweepWindow, type SweepMode } from './sweep-window.ts';
import type { Window } from './window-pages.ts';

export interface ReconcilerSettings extends ScheduleSettings {
  readonly pageSize: number;
}

/** How often the lock is tried for, and failures of Redis are tried over. */
const standbyMs = 1_000;
/** How often a connection that is not there is looked at. */
const connectionMs = 100;
const lookUpEveryMaxMs = 5_000;
const lookUpEveryMinMs = 50;

/** Runs until the signal aborts; never rejects. */
export async function reconcileBrand(
  scope: BrandScope,
  settings: ReconcilerSettings,
  signal: AbortSignal,
): Promise<void> {
  const { redis, queue, clock, log, brand } = scope;
  while (!signal.aborted) {
    if (redis.status !== 'ready') {
      await clock.sleep(connectionMs, signal).catch(() => undefined);
      continue; // the connection itself says that it is down
    }
    try {
      await lead({ redis, queue, clock }, (token, leading) => act(scope, settings, token, leading), signal);
    } catch (error) {
      if (!signal.aborted && !isAbort(error)) log.warn({ event: 'reconcile.interrupted', brand, ...reasonOf(error) });
    }
    await clock.sleep(standbyMs, signal).catch(() => undefined);
  }
}

/** Ends, by rejection, as soon as one of the two cannot go on. */
async function act(
  scope: BrandScope,
  settings: ReconcilerSettings,
  token: string,
  leading: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([leading, ending.signal]);
  const both = [sweepForEver(scope, settings, token, signal), lookUpForEver(scope, settings, signal)];
  try {
    await Promise.race(both);
  } finally {
    ending.abort();
    await Promise.allSettled(both);
  }
}

async function lookUpForEver(scope: BrandScope, { everyMs }: ReconcilerSettings, signal: AbortSignal): Promise<never> {
  const intervalMs = Math.min(
    Math.max(Math.min(everyMs, scope.limits.graceMs) / 2, lookUpEveryMinMs),
    lookUpEveryMaxMs,
  );
  for (;;) {
    const more = await lookUpDue(scope, requestIdOf('look-up', scope.clock.now()), signal);
    if (!more) await scope.clock.sleep(intervalMs, signal);
    signal.throwIfAborted();
  }
}

/** A sweep over several windows, of which a longer one is interrupted by the recent ones. */
interface Sweep {
  readonly kind: 'recent' | 'full';
  readonly window: Window;
  readonly startedAtMs: number;
  readonly counts: SweepCounts;
  readonly mode: SweepMode;
}

async function sweepForEver(
  scope: BrandScope,
  settings: ReconcilerSettings,
  token: string,
  signal: AbortSignal,
): Promise<never> {
  const { redis, queue, clock, limits } = scope;
  let state = await readSweepState(redis, queue);
  let recentDueMs = 0;
  let planDueMs = 0;
  let full: Sweep | undefined;

  for (;;) {
    signal.throwIfAborted();
    const nowMs = clock.now();
    const oldestMs = oldestInjectedMs(nowMs, limits.rememberedMs);
    const step = nextStep({ state, recentDueMs, planDueMs, oldestMs, nowMs, settings });
    switch (step.kind) {
      case 'first': {
        const counted = await countFirst(step.window);
        if (counted) await save({ ...state, checkpointMs: step.window.fromMs });
        else await clock.sleep(settings.everyMs, signal);
        break;
      }
      case 'recent':
        recentDueMs = nowMs + settings.everyMs;
        await sweepRecent(step.window);
        break;
      case 'plan':
        tellGap(state, step.plan.fromMs);
        await save({ ...state, plannedAtMs: nowMs, plan: step.plan });
        break;
      case 'window':
        if (!(await sweepPlanned(step))) planDueMs = clock.now() + settings.everyMs;
        break;
      case 'wait':
        await clock.sleep(Math.max(step.untilMs - nowMs, 1), signal);
        break;
    }
  }

  /** Whoever starts this for the first time learns what is about to reach the merchant before it does. */
  async function countFirst(window: Window): Promise<boolean> {
    const sweep = begin('full', window, false);
    const failure = await sweepAll(sweep);
    if (failure !== undefined) await report(sweep, failure);
    else
      scope.log[sweep.counts.missing > 0 ? 'warn' : 'info']({
        event: 'reconcile.first_sweep',
        brand: scope.brand,
        ...isoWindow(window),
        seen: sweep.counts.seen,
        aboutToDeliver: sweep.counts.missing,
        tooOld: sweep.counts.tooOld,
      });
    return failure === undefined;
  }

  async function sweepRecent(window: Window): Promise<void> {
    const sweep = begin('recent', window, true);
    const failure = await sweepAll(sweep);
    if (failure === undefined) await save({ ...state, checkpointMs: checkpointAfter(state.checkpointMs, window) });
    await report(sweep, failure);
  }

  /** One window of the plan; false where it has to be tried again. */
  async function sweepPlanned({ plan, window }: Extract<Step, { kind: 'window' }>): Promise<boolean> {
    full ??= begin('full', { fromMs: plan.fromMs, toMs: plan.toMs }, true);
    const isEmpty = window.toMs <= window.fromMs;
    const failure = isEmpty ? undefined : await sweepInto(full, window);
    if (failure !== undefined) {
      await report(full, failure);
      full = undefined;
      return false;
    }
    const isLast = window.toMs >= plan.toMs;
    await save({
      ...state,
      // From the plan's place: where the window begins later, what lies between has become too old to be injected.
      checkpointMs: checkpointAfter(state.checkpointMs, { fromMs: plan.atMs, toMs: window.toMs }),
      plan: isLast ? undefined : { ...plan, atMs: window.toMs },
    });
    if (isLast) {
      await report(full, undefined);
      full = undefined;
    }
    return true;
  }

  async function sweepAll(sweep: Sweep): Promise<string | undefined> {
    for (const window of narrowWindows(sweep.window, settings.windowMs)) {
      const failure = await sweepInto(sweep, window);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  async function sweepInto(sweep: Sweep, window: Window): Promise<string | undefined> {
    const swept = await sweepWindow(scope, window, sweep.mode, signal);
    addCounts(sweep.counts, swept.counts);
    return swept.kind === 'failed' ? swept.reason : undefined;
  }

  function begin(kind: Sweep['kind'], window: Window, putIn: boolean): Sweep {
    const startedAtMs = clock.now();
    const mode = {
      putIn,
      force: false,
      pageSize: settings.pageSize,
      requestId: requestIdOf('sweep', startedAtMs),
      statusBodies: { left: statusBodiesPerSweepMax },
    };
    return { kind, window, startedAtMs, counts: noCounts(), mode };
  }

  async function save(next: SweepState): Promise<void> {
    if (!(await writeSweepState(redis, queue, token, next))) throw new LockLostError();
    state = next;
  }

  /** What lies between the checkpoint and the plan is too old to be injected; somebody should know. */
  function tellGap({ checkpointMs = 0 }: SweepState, fromMs: number): void {
    if (checkpointMs >= fromMs) return;
    const gap = isoWindow({ fromMs: checkpointMs, toMs: fromMs });
    scope.log.warn({ event: 'reconcile.away_too_long', brand: scope.brand, ...gap, hint: 'reconcile --force' });
    state = { ...state, checkpointMs: fromMs };
  }

  async function report(sweep: Sweep, failure: string | undefined): Promise<void> {
    const { kind, window, startedAtMs, counts, mode } = sweep;
    const fields: SweepReport = {
      kind,
      ...isoWindow(window),
      startedAt: new Date(startedAtMs).toISOString(),
      ms: Math.max(clock.now() - startedAtMs, 0),
      ...counts,
      errors: counts.errors + (failure === undefined ? 0 : 1),
      ...(failure !== undefined && { failure }),
    };
    const level = failure === undefined ? 'info' : 'warn';
    scope.log[level]({ event: 'reconcile.swept', brand: scope.brand, requestId: mode.requestId, ...fields });
    await storeSweepReport(redis, queue, fields);
  }
}

function isoWindow({ fromMs, toMs }: Window): { from: string; to: string } {
  return { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
}

function requestIdOf(what: 'sweep' | 'look-up', nowMs: number): string {
  return `${what}-${nowMs.toString(36)}`;
}

class LockLostError extends Error {
  readonly code = 'RECONCILER_LOCK_LOST';

  constructor() {
    super('another process reconciles this brand');
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function reasonOf(error: unknown): { code?: string; reason: string } {
  if (!(error instanceof Error)) return { reason: 'unknown error' };
  return { reason: error.message.slice(0, 200), ...('code' in error && { code: String(error.code) }) };
}
