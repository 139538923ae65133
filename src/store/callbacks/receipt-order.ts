// The order of every list: by receipt, newest first; within the same millisecond by job id, descending.
//
// Promises: a position never changes, whatever happens to the job, so a cursor neither skips nor repeats anything, whatever
// arrives meanwhile. Pure.
import type { BrandQueue } from '../../redis/brand-queue.ts';

export interface Position {
  readonly receivedAtMs: number;
  readonly jobId: string;
}

export interface Entry extends Position {
  readonly queue: BrandQueue;
}

/** A part of the order as one source knows it: all of its entries down to `end`, or all of them if there is no `end`. */
export interface Stretch {
  readonly entries: readonly Entry[];
  readonly end?: Position | undefined;
}

/** Merges stretches, down to the position up to which all of them are known. */
export function merge(stretches: readonly Stretch[], limit: number): Stretch {
  const ends = stretches.flatMap(({ end }) => end ?? []);
  const known = ends.toSorted(newestFirst)[0];
  const entries = stretches
    .flatMap((stretch) => stretch.entries)
    .filter((entry) => known === undefined || newestFirst(entry, known) <= 0)
    .toSorted(newestFirst);
  if (entries.length <= limit) return { entries, end: known };
  const first = entries.slice(0, limit);
  return { entries: first, end: first.at(-1) };
}

export function newestFirst(a: Position, b: Position): number {
  if (a.receivedAtMs !== b.receivedAtMs) return b.receivedAtMs - a.receivedAtMs;
  if (a.jobId === b.jobId) return 0;
  return a.jobId < b.jobId ? 1 : -1;
}

/** Whether it comes after the position in a list. */
export function isAfter(entry: Position, position: Position | undefined): boolean {
  return position === undefined || newestFirst(entry, position) > 0;
}
