// What Redis remembers of the sweeps, made sound (pure). A process whose clock was wrong once has left times that lie in
// the future; taken at their word they would stop every sweep until that future has come.
import type { BehindWindow, SweepPlan, SweepState } from '../../store/reconciliation/sweep-state.ts';

/** Clocks of different machines may differ by so much: less is only cut off. */
const skewMs = 600_000;
/** No window behind waits for longer. */
const waitMaxMs = 3_600_000;

/** `oldestMs`: nothing created before it can be injected. */
export function soundState(state: SweepState, nowMs: number, oldestMs: number): SweepState {
  const latestMs = nowMs + skewMs;
  const { beganMs, checkpointMs, plannedAtMs, plan, behind, endedWell } = state;
  // All that was ever swept lies in the future: nothing was.
  if (beganMs !== undefined && beganMs > latestMs) return {};
  const past = (ms: number | undefined) => (ms === undefined || ms > latestMs ? undefined : Math.min(ms, nowMs));
  const soundPlan = plan === undefined ? undefined : planAsOf(plan, nowMs);
  return {
    beganMs,
    // How far the sweeps had come before the clock was wrong is not known any more: back to the start.
    checkpointMs: checkpointMs === undefined ? undefined : (past(checkpointMs) ?? Math.max(beganMs ?? 0, oldestMs, 0)),
    // A plan that is dropped is planned anew.
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

/** None where all of it lies in the future, or is too old. */
function behindAsOf(window: BehindWindow, nowMs: number, oldestMs: number): BehindWindow[] {
  const fromMs = Math.max(window.fromMs, oldestMs);
  const toMs = Math.min(window.toMs, nowMs);
  if (fromMs >= toMs) return [];
  const dueMs = window.dueMs > nowMs + waitMaxMs + skewMs ? nowMs : window.dueMs;
  return [{ ...window, fromMs, toMs, dueMs, sinceMs: Math.min(window.sinceMs, nowMs) }];
}
