import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SweepState } from '../../src/store/reconciliation/sweep-state.ts';
import { checkpointAfter, narrowWindows, nextStep, type ScheduleSettings } from '../../src/reconcile/sweep/schedule.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const settings: ScheduleSettings = { everyMs: 10 * minute, lookbackMs: day, windowMs: hour, fullEveryMs: hour };
const now = 1_000 * day;
const ask = (state: SweepState, more: Partial<Parameters<typeof nextStep>[0]> = {}) =>
  nextStep({ state, recentDueMs: now + minute, planDueMs: 0, oldestMs: now - 14 * day, nowMs: now, settings, ...more });

test('counts before it delivers if nothing was ever swept', () => {
  expect(ask({})).toEqual({ kind: 'first', window: { fromMs: now - day, toMs: now } });
});

test('sweeps the last two hours first when due, even in the middle of a catch-up', () => {
  const plan = { fromMs: now - 7 * day, toMs: now, atMs: now - 3 * day };
  expect(ask({ checkpointMs: now - 3 * day, plan }, { recentDueMs: now })).toEqual({
    kind: 'recent',
    window: { fromMs: now - 2 * hour, toMs: now },
  });
});

test('sweeps the whole lookback every hour', () => {
  const state = { checkpointMs: now - minute, plannedAtMs: now - hour };
  expect(ask(state)).toMatchObject({ kind: 'plan', plan: { fromMs: now - minute - day, toMs: now } });
  expect(ask({ ...state, plannedAtMs: now - hour + 1 })).toEqual({ kind: 'wait', untilMs: now + 1 });
});

test('goes back before the checkpoint after an outage, at once', () => {
  const state = { checkpointMs: now - 5 * day, plannedAtMs: now - minute };
  expect(ask(state)).toMatchObject({ kind: 'plan', plan: { fromMs: now - 6 * day } });
});

test('goes back no further than results that can still be injected', () => {
  expect(ask({ checkpointMs: now - 90 * day })).toMatchObject({ kind: 'plan', plan: { fromMs: now - 14 * day } });
});

test('retries a failed window no sooner than scheduled', () => {
  const plan = { fromMs: now - day, toMs: now, atMs: now - day };
  expect(ask({ checkpointMs: now, plan }, { planDueMs: now + 5 })).toEqual({ kind: 'wait', untilMs: now + 5 });
});

test('a sweep of the last hours moves no checkpoint before it', () => {
  expect(checkpointAfter(now - 3 * hour, { fromMs: now - 2 * hour, toMs: now })).toBe(now - 3 * hour);
  expect(checkpointAfter(now - 2 * hour, { fromMs: now - 2 * hour, toMs: now })).toBe(now);
  expect(checkpointAfter(now, { fromMs: now - 2 * hour, toMs: now - hour })).toBe(now);
});

test('windows are narrow, without gaps or overlaps', () => {
  fc.assert(
    fc.property(fc.nat(10 * day), fc.nat(10 * day), fc.integer({ min: minute, max: day }), (from, length, width) => {
      const windows = [...narrowWindows({ fromMs: from, toMs: from + length }, width)];
      expect(windows.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)).toBe(length);
      expect(windows.every(({ fromMs, toMs }) => toMs > fromMs && toMs - fromMs <= width)).toBe(true);
      expect(windows.every(({ fromMs }, at) => fromMs === (windows[at - 1]?.toMs ?? from))).toBe(true);
    }),
  );
});

test('the whole time since the checkpoint is swept, however long the outage was and whichever steps are lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: minute, max: 12 * day }), fc.array(fc.boolean()), (outageMs, losses) => {
      let state: SweepState = { checkpointMs: now - outageMs, plannedAtMs: now - outageMs };
      const swept: { fromMs: number; toMs: number }[] = [];
      const lost = [...losses];
      for (;;) {
        const step = ask(state);
        if (step.kind === 'plan') state = { ...state, plannedAtMs: now, plan: step.plan };
        else if (step.kind === 'window') {
          if (lost.pop() === true) continue; // the process died before it could save
          swept.push(step.window);
          const { plan, window } = step;
          state = {
            ...state,
            checkpointMs: checkpointAfter(state.checkpointMs, window),
            plan: window.toMs < plan.toMs ? { ...plan, atMs: window.toMs } : undefined,
          };
        } else break;
      }
      expect(outageMs <= 2 * hour || state.checkpointMs === now).toBe(true);
      if (swept.length === 0) return;
      expect(swept[0]?.fromMs).toBeLessThanOrEqual(now - outageMs);
      expect(swept.every(({ fromMs }, at) => at === 0 || fromMs === swept[at - 1]?.toMs)).toBe(true);
      expect(swept.at(-1)?.toMs).toBe(now);
    }),
  );
});
