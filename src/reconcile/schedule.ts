// What the reconciler of a brand does next, pure: the last hours every RECONCILE_EVERY, the whole RECONCILE_LOOKBACK
// every hour, and after an outage everything from the checkpoint on, window by window.
import type { SweepPlan, SweepState } from '../queue/sweep-state.ts';
import type { Window } from './window-pages.ts';

export interface ScheduleSettings {
  /** RECONCILE_EVERY */
  readonly everyMs: number;
  /** RECONCILE_LOOKBACK */
  readonly lookbackMs: number;
  /** The gateway asks for narrow windows: hours to a day. */
  readonly windowMs: number;
  /** How often the whole lookback is swept. */
  readonly fullEveryMs: number;
}

export interface ScheduleInput {
  readonly state: SweepState;
  readonly recentDueMs: number;
  /** Windows of the plan are not tried before. */
  readonly planDueMs: number;
  /** Nothing created before it can be injected: sweeping it would serve nobody. */
  readonly oldestMs: number;
  readonly nowMs: number;
  readonly settings: ScheduleSettings;
}

export type Step =
  /** Nothing was ever swept here: count before anything is delivered. */
  | { readonly kind: 'first'; readonly window: Window }
  | { readonly kind: 'recent'; readonly window: Window }
  | { readonly kind: 'plan'; readonly plan: SweepPlan }
  | { readonly kind: 'window'; readonly plan: SweepPlan; readonly window: Window }
  | { readonly kind: 'wait'; readonly untilMs: number };

export const windowMsDefault = 3_600_000;
export const fullEveryMsDefault = 3_600_000;
const recentMs = 7_200_000;

export function nextStep({ state, recentDueMs, planDueMs, oldestMs, nowMs, settings }: ScheduleInput): Step {
  const { everyMs, lookbackMs, windowMs, fullEveryMs } = settings;
  const { checkpointMs, plannedAtMs, plan } = state;
  const floorMs = Math.max(oldestMs, 0);
  if (checkpointMs === undefined) {
    return { kind: 'first', window: { fromMs: Math.max(nowMs - lookbackMs, floorMs), toMs: nowMs } };
  }
  if (nowMs >= recentDueMs) {
    return { kind: 'recent', window: { fromMs: nowMs - Math.max(recentMs, 2 * everyMs), toMs: nowMs } };
  }
  if (plan !== undefined) {
    if (nowMs < planDueMs) return { kind: 'wait', untilMs: Math.min(planDueMs, recentDueMs) };
    const fromMs = Math.max(plan.atMs, floorMs);
    return { kind: 'window', plan, window: { fromMs, toMs: Math.min(fromMs + windowMs, plan.toMs) } };
  }
  const fullDueMs = plannedAtMs === undefined || checkpointMs < nowMs - recentMs ? nowMs : plannedAtMs + fullEveryMs;
  if (nowMs >= Math.max(fullDueMs, planDueMs)) {
    // From before the checkpoint, so that the service's own absence does not shorten how long a transaction is watched.
    const fromMs = Math.max(Math.min(checkpointMs, nowMs) - lookbackMs, floorMs);
    return { kind: 'plan', plan: { fromMs, toMs: nowMs, atMs: fromMs } };
  }
  return { kind: 'wait', untilMs: Math.min(Math.max(fullDueMs, planDueMs), recentDueMs) };
}

/** The checkpoint after a window: it moves only where no time before the window is left out. */
export function checkpointAfter(checkpointMs: number | undefined, { fromMs, toMs }: Window): number | undefined {
  if (checkpointMs === undefined || checkpointMs < fromMs) return checkpointMs;
  return Math.max(checkpointMs, toMs);
}

/** A longer window in narrow ones. */
export function* narrowWindows({ fromMs, toMs }: Window, windowMs: number): Generator<Window> {
  for (let atMs = fromMs; atMs < toMs; atMs += windowMs) {
    yield { fromMs: atMs, toMs: Math.min(atMs + windowMs, toMs) };
  }
}
