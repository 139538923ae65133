// Deadlines of many waiters with a single timer, since one timer per callback would cost too much.

interface Due {
  readonly dueAtMs: number;
}

export interface DueTimesOptions<T extends Due> {
  readonly onOverdue: (overdue: readonly T[]) => void;
  /** Monotonic. */
  readonly now: () => number;
}

/** Each look walks over all waiters. */
const lookEveryMinMs = 20;

export function createDueTimes<T extends Due>({ onOverdue, now }: DueTimesOptions<T>) {
  const waiting = new Set<T>();
  let timer: NodeJS.Timeout | undefined;
  let timerAtMs = Number.POSITIVE_INFINITY;

  function arm(atMs: number): void {
    clearTimeout(timer);
    timerAtMs = atMs;
    timer = setTimeout(look, Math.max(atMs - now(), lookEveryMinMs)).unref();
  }

  function look(): void {
    const nowMs = now();
    const overdue: T[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const one of waiting) {
      if (one.dueAtMs <= nowMs) overdue.push(one);
      else nextMs = Math.min(nextMs, one.dueAtMs);
    }
    for (const one of overdue) waiting.delete(one);
    timerAtMs = Number.POSITIVE_INFINITY;
    if (waiting.size > 0) arm(nextMs);
    if (overdue.length > 0) onOverdue(overdue);
  }

  return {
    add(one: T): void {
      waiting.add(one);
      if (one.dueAtMs < timerAtMs) arm(one.dueAtMs);
    },
    /** It no longer waits. */
    delete: (one: T) => waiting.delete(one),
  };
}
