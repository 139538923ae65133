// Repairs the stored state of the sweeps (pure). A process with a wrong clock may have left times in the future, which would
// stop every sweep until then.
import type { BehindWindow, SweepPlan, SweepState } from '../../store/reconciliation/sweep-state.ts';

/** Tolerated clock difference: smaller excesses are only cut. */
const skewMs = 600_000;
/** The longest wait of a window to retry. */
const waitMaxMs = 3_600_000;

/** `oldestMs`: nothing created before it can be injected. */
export function soundState(state: SweepState, nowMs: number, oldestMs: number): SweepState {
  const latestMs = nowMs + skewMs;
  const { beganMs, checkpointMs, plannedAtMs, plan, behind, endedWell } = state;
  // Everything that was ever swept lies in the future: start over.
  if (beganMs !== undefined && beganMs > latestMs) return {};
  const past = (ms: number | undefined) => (ms === undefined || ms > latestMs ? undefined : Math.min(ms, nowMs));
  const soundPlan = plan === undefined ? undefined : planAsOf(plan, nowMs);
  return {
    beganMs,
    // The progress from before the wrong clock is unknown: back to the start.
    checkpointMs: checkpointMs === undefined ? undefined : (past(checkpointMs) ?? Math.max(beganMs ?? 0, oldestMs, 0)),
    // A dropped plan is planned again.
    plannedAtMs: plan !== undefined && soundPlan === undefined ? undefined : past(plannedAtMs),
    plan: soundPlan,
    behind: behind?.flatMap((window) => behindAsOf(window, nowMs, oldestMs)),
    endedWell: endedWell && {
      recentMs: past(endedWell.recentMs),
      fullMs: past(endedWell.fullMs),
      allMs: past(endedWell.allMs),
    },
  };
}

function planAsOf(plan: SweepPlan, nowMs: number): SweepPlan | undefined {
  if (plan.fromMs > nowMs || plan.atMs > nowMs + skewMs) return undefined;
  return { ...plan, toMs: Math.min(plan.toMs, Math.max(nowMs, plan.atMs)) };
}

/** Empty if the whole window lies in the future, or is too old. */
function behindAsOf(window: BehindWindow, nowMs: number, oldestMs: number): BehindWindow[] {
  const fromMs = Math.max(window.fromMs, oldestMs);
  const toMs = Math.min(window.toMs, nowMs);
  if (fromMs >= toMs) return [];
  const dueMs = window.dueMs > nowMs + waitMaxMs + skewMs ? nowMs : window.dueMs;
  return [{ ...window, fromMs, toMs, dueMs, sinceMs: Math.min(window.sinceMs, nowMs) }];
}
