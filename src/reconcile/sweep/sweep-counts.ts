// The counts of a window's sweep.
import { sweepCountsSchema, type SweepCounts } from '../../store/reconciliation/reconciliation-report.ts';

export function noCounts(): SweepCounts {
  return {
    seen: 0,
    known: 0,
    pending: 0,
    early: 0,
    other: 0,
    reversed: 0,
    missing: 0,
    injected: 0,
    corrections: 0,
    tooOld: 0,
    unconfirmed: 0,
    unreadable: 0,
    errors: 0,
  };
}

const names = sweepCountsSchema.keyof().options;

export function addCounts(total: SweepCounts, more: SweepCounts): void {
  for (const name of names) total[name] += more[name];
}

/** Adds what was injected before a part of the window started again; the repetition counted it as known. */
export function withEarlier(counts: SweepCounts, { injected, corrections }: SweepCounts): SweepCounts {
  return {
    ...counts,
    known: Math.max(counts.known - injected - corrections, 0),
    missing: counts.missing + injected,
    injected: counts.injected + injected,
    corrections: counts.corrections + corrections,
  };
}
