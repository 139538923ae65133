// What a brand's reconciler does next (pure): the last hours every RECONCILE_EVERY, the whole RECONCILE_LOOKBACK every hour,
// after an outage everything from the checkpoint on, window by window, and the windows to retry.
import type { BehindWindow, SweepPlan, SweepState } from '../../store/reconciliation/sweep-state.ts';
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
  /** As returned by `soundState`. */
  readonly state: SweepState;
  readonly recentDueMs: number;
  /** Windows of the plan, and those to retry, wait until then. */
  readonly planDueMs: number;
  /** The plan had the last turn: a window to retry comes first now. */
  readonly behindFirst?: boolean;
  /** Nothing created before it can be injected, so sweeping it would be useless. */
  readonly oldestMs: number;
  readonly nowMs: number;
  readonly settings: ScheduleSettings;
}

export type Step =
  /** Nothing was ever swept here: count before delivering anything. */
  | { readonly kind: 'first'; readonly window: Window }
  | { readonly kind: 'recent'; readonly window: Window }
  | { readonly kind: 'plan'; readonly plan: SweepPlan }
  | { readonly kind: 'window'; readonly plan: SweepPlan; readonly window: Window }
  | { readonly kind: 'behind'; readonly window: Window }
  | { readonly kind: 'wait'; readonly untilMs: number };

export const windowMsDefault = 3_600_000;
export const fullEveryMsDefault = 3_600_000;
const recentMs = 7_200_000;

export function nextStep(input: ScheduleInput): Step {
  const { state, recentDueMs, planDueMs, behindFirst = false, oldestMs, nowMs, settings } = input;
  const { everyMs, windowMs, fullEveryMs } = settings;
  const { beganMs = 0, checkpointMs, plannedAtMs, plan, behind = [] } = state;
  const floorMs = Math.max(oldestMs, beganMs, 0);
  if (checkpointMs === undefined) {
    return { kind: 'first', window: { fromMs: Math.max(nowMs - lookbackOf(settings), floorMs), toMs: nowMs } };
  }
  if (nowMs >= recentDueMs) {
    return { kind: 'recent', window: { fromMs: Math.max(nowMs - recentOf(settings), floorMs), toMs: nowMs } };
  }
  const canSweep = nowMs >= planDueMs;
  const late = behind.find(({ dueMs }) => dueMs <= nowMs);
  if (canSweep && late !== undefined && (behindFirst || plan === undefined)) return behindStep(late, windowMs);
  if (plan !== undefined) {
    if (!canSweep) return { kind: 'wait', untilMs: Math.min(planDueMs, recentDueMs) };
    const fromMs = Math.max(plan.atMs, Math.min(floorMs, plan.toMs));
    return { kind: 'window', plan, window: { fromMs, toMs: Math.min(fromMs + windowMs, plan.toMs) } };
  }
  const isAway = plannedAtMs === undefined || checkpointMs < nowMs - Math.max(recentMs, 2 * everyMs);
  const fullDueMs = isAway ? nowMs : plannedAtMs + fullEveryMs;
  if (canSweep && nowMs >= fullDueMs) {
    // Starts before the checkpoint, so that an outage of the service does not shorten how long a transaction is watched.
    const fromMs = Math.max(Math.min(checkpointMs, nowMs) - lookbackOf(settings), floorMs);
    return { kind: 'plan', plan: { fromMs, toMs: nowMs, atMs: fromMs } };
  }
  const nextMs = Math.min(fullDueMs, ...behind.map(({ dueMs }) => dueMs));
  return { kind: 'wait', untilMs: Math.min(Math.max(nextMs, planDueMs), recentDueMs) };
}

function behindStep({ fromMs, toMs }: BehindWindow, windowMs: number): Step {
  return { kind: 'behind', window: { fromMs, toMs: Math.min(fromMs + windowMs, toMs) } };
}

/** A lookback shorter than the time between two sweeps would leave gaps. */
export function lookbackOf({ lookbackMs, everyMs }: Pick<ScheduleSettings, 'lookbackMs' | 'everyMs'>): number {
  return Math.max(lookbackMs, 2 * everyMs);
}

/** Never further back than RECONCILE_LOOKBACK. */
function recentOf(settings: ScheduleSettings): number {
  return Math.max(Math.min(recentMs, settings.lookbackMs), 2 * settings.everyMs);
}

/** The checkpoint after a window: it moves only if no time before the window is left out. */
export function checkpointAfter(checkpointMs: number | undefined, { fromMs, toMs }: Window): number | undefined {
  if (checkpointMs === undefined || checkpointMs < fromMs) return checkpointMs;
  return Math.max(checkpointMs, toMs);
}

/** Splits a window into narrow ones. */
export function* narrowWindows({ fromMs, toMs }: Window, windowMs: number): Generator<Window> {
  for (let atMs = fromMs; atMs < toMs; atMs += windowMs) {
    yield { fromMs: atMs, toMs: Math.min(atMs + windowMs, toMs) };
  }
}
