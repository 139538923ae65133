import { expect, test } from 'vitest';
import { behindAfter } from '../../src/reconcile/sweep/behind.ts';
import type { BehindWindow } from '../../src/store/reconciliation/sweep-state.ts';

const hourMs = 3_600_000;
const at = { nowMs: 100 * hourMs, everyMs: 600_000 };
const failed = { isSwept: false, isOpen: false };

test('too many windows are merged with their neighbours, and none is lost', () => {
  let behind: BehindWindow[] = [];
  // Every second hour failed, except that the 20th and the 21st are closest together.
  const hours = Array.from({ length: 65 }, (_, index) => (index < 20 ? index * 2 : index * 2 - 1));
  for (const [index, hour] of hours.entries()) {
    const window = { fromMs: hour * hourMs, toMs: (hour + 1) * hourMs };
    behind = behindAfter(behind, window, { isSwept: index === 20, isOpen: index === 20 }, { ...at, nowMs: index });
  }
  expect(behind).toHaveLength(64);
  const uncovered = hours.filter(
    (hour) => !behind.some(({ fromMs, toMs }) => fromMs <= hour * hourMs && (hour + 1) * hourMs <= toMs),
  );
  expect(uncovered).toEqual([]);
  // The merged window has the earlier start and due time, and counts as swept only if both were.
  expect(behind.filter(({ fromMs, toMs }) => toMs - fromMs > hourMs)).toEqual([
    { fromMs: 38 * hourMs, toMs: 40 * hourMs, sinceMs: 19, dueMs: 19 + at.everyMs, isSwept: false },
  ]);
});

test('a completely swept window is removed, and only that part of a merged one', () => {
  const whole = { fromMs: 0, toMs: 3 * hourMs };
  const behind = behindAfter([], whole, failed, at);
  expect(behindAfter(behind, whole, { isSwept: true, isOpen: false }, at)).toEqual([]);
  const middle = { fromMs: hourMs, toMs: 2 * hourMs };
  expect(behindAfter(behind, middle, { isSwept: true, isOpen: false }, at)).toMatchObject([
    { fromMs: 0, toMs: hourMs },
    { fromMs: 2 * hourMs, toMs: 3 * hourMs },
  ]);
});
