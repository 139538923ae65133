// The calls per hour that docs/reconciliation.md states, counted with the real schedule and a simulated clock.
import { expect, test } from 'vitest';
import {
  nextStep,
  checkpointAfter,
  fullEveryMsDefault,
  narrowWindows,
  windowMsDefault,
} from '../../src/reconcile/sweep/schedule.ts';
import { sweepWindow } from '../../src/reconcile/sweep/sweep-window.ts';
import { pageSizeDefault } from '../../src/reconcile/sweep/window-pages.ts';
import type { SweepState } from '../../src/store/reconciliation/sweep-state.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, isoAgo, sweepMode } from './reconcile-rig.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const { server: redis } = await withRedis();

/** The windows that the defaults sweep per hour in steady state. */
function windowsOfAnHour(everyMs: number) {
  const startMs = 1_000 * dayMs;
  const settings = { everyMs, lookbackMs: dayMs, windowMs: windowMsDefault, fullEveryMs: fullEveryMsDefault };
  const windows: { fromMs: number; toMs: number }[] = [];
  let state: SweepState = { checkpointMs: startMs - minuteMs, plannedAtMs: startMs - hourMs };
  let recentDueMs = startMs;
  for (let nowMs = startMs; nowMs < startMs + hourMs;) {
    const step = nextStep({ state, recentDueMs, planDueMs: 0, oldestMs: 0, nowMs, settings });
    switch (step.kind) {
      case 'recent':
        windows.push(...narrowWindows(step.window, windowMsDefault));
        state = { ...state, checkpointMs: checkpointAfter(state.checkpointMs, step.window) };
        recentDueMs = nowMs + everyMs;
        break;
      case 'plan':
        state = { ...state, plannedAtMs: nowMs, plan: step.plan };
        break;
      case 'window': {
        const { plan, window } = step;
        windows.push(window);
        state = { ...state, plan: window.toMs < plan.toMs ? { ...plan, atMs: window.toMs } : undefined };
        break;
      }
      case 'wait':
        nowMs = step.untilMs;
        break;
      case 'first':
      case 'behind':
        throw new Error('there is a checkpoint, and nothing failed');
    }
  }
  return windows;
}

test('an hour costs 36 windows with the defaults, 26 with RECONCILE_EVERY=1h', () => {
  expect(windowsOfAnHour(10 * minuteMs)).toHaveLength(36);
  expect(windowsOfAnHour(hourMs)).toHaveLength(26);
});

test('a window costs one call per page of 500, and none for known callbacks', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  rig.gateway.addTransactions({ count: 1_000, createdAt: isoAgo(30 * minuteMs), everyMs: 100 });
  const window = { fromMs: Date.now() - hourMs, toMs: Date.now() };
  const signal = new AbortController().signal;
  for (const { gatewayReference } of rig.gateway.transactions())
    await rig.receive(rig.gateway.bodyOf(gatewayReference));
  rig.gateway.resetCalls();
  expect(await sweepWindow(rig.scope, window, sweepMode(), signal)).toMatchObject({ counts: { known: 1_000 } });
  expect(rig.gateway.calls()).toMatchObject({
    records: 1_000 / pageSizeDefault,
    status: 0,
    statusByMerchantReference: 0,
  });
});
