// The windows that must be swept again (pure). A failing window never holds up the rest; it waits ever longer, at most an
// hour, and is given up once nothing created in it can be injected any more.
import type { BehindWindow } from '../../store/reconciliation/sweep-state.ts';
import type { Window } from './window-pages.ts';

/** Beyond this, windows are merged: a longer window contains the shorter ones. */
const behindMax = 64;
const waitMaxMs = 3_600_000;
/** How long a window that was swept except for unreadable or unsettled parts is retried. */
export const openForMs = 86_400_000;

export interface Swept {
  /** False if it failed before its end. */
  readonly isSwept: boolean;
  /** Something in it could not be parsed or settled. */
  readonly isOpen: boolean;
}

export interface At {
  readonly nowMs: number;
  /** RECONCILE_EVERY */
  readonly everyMs: number;
}

/** The list after a window was swept, whether it was in the list before or not. */
export function behindAfter(
  behind: readonly BehindWindow[],
  window: Window,
  { isSwept, isOpen }: Swept,
  { nowMs, everyMs }: At,
): BehindWindow[] {
  const earlier = behind.find((one) => one.fromMs <= window.fromMs && window.fromMs < one.toMs);
  const rest = behind.flatMap((one) => without(one, window));
  if (isSwept && !isOpen) return rest;
  const sinceMs = earlier === undefined || earlier.isSwept !== isSwept ? nowMs : earlier.sinceMs;
  if (isSwept && nowMs - sinceMs >= openForMs) return rest;
  const waitMs = Math.min(Math.max(nowMs - sinceMs, everyMs), waitMaxMs);
  return joined([...rest, { ...window, sinceMs, dueMs: nowMs + waitMs, isSwept }]);
}

/** What remains of a window after removing a part of it. */
function without(one: BehindWindow, part: Window): BehindWindow[] {
  return [
    { ...one, toMs: Math.min(one.toMs, part.fromMs) },
    { ...one, fromMs: Math.max(one.fromMs, part.toMs) },
  ].filter(({ fromMs, toMs }) => fromMs < toMs);
}

/** Ordered by time and within the limit: neighbours are merged. */
function joined(windows: readonly BehindWindow[]): BehindWindow[] {
  const list = windows.toSorted((a, b) => a.fromMs - b.fromMs);
  while (list.length > behindMax) {
    const gaps = list.slice(1).map((one, at) => one.fromMs - (list[at]?.toMs ?? one.fromMs));
    const at = gaps.indexOf(Math.min(...gaps));
    const [a, b] = [list[at], list[at + 1]];
    if (a === undefined || b === undefined) return list;
    list.splice(at, 2, {
      fromMs: a.fromMs,
      toMs: Math.max(a.toMs, b.toMs),
      sinceMs: Math.min(a.sinceMs, b.sinceMs),
      dueMs: Math.min(a.dueMs, b.dueMs),
      isSwept: a.isSwept && b.isSwept,
    });
  }
  return list;
}
