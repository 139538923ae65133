// The order of every list: by receipt, the newest first; what was received in the same millisecond, by job id, downwards.
//
// Promises: a place in it never changes, whatever becomes of the job, so a cursor that names a position neither skips nor
// repeats, whatever arrives meanwhile. Pure.
import type { BrandQueue } from '../../redis/brand-queue.ts';

export interface Position {
  readonly receivedAtMs: number;
  readonly jobId: string;
}

export interface Entry extends Position {
  readonly queue: BrandQueue;
}

/** Part of the order as one source knows it: every entry of the source down to `end`, or all of them without one. */
export interface Stretch {
  readonly entries: readonly Entry[];
  readonly end?: Position | undefined;
}

/** The first entries of several stretches, as far down as every one of them is known. */
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

/** Whether it stands below the position in a list. */
export function isAfter(entry: Position, position: Position | undefined): boolean {
  return position === undefined || newestFirst(entry, position) > 0;
}
