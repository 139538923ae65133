// A section of the benchmark: what it is called, how long it takes as a short run, and the table that it gives.
import type { Rig } from './rig.ts';

export interface SectionResult {
  readonly rows: readonly Row[];
  /** What the ratios are, against the goals. */
  readonly summary: Readonly<Record<string, number>>;
  readonly notes?: readonly string[];
}

export type Row = Readonly<Record<string, string | number>>;

export interface Section {
  readonly name: string;
  readonly title: string;
  run(rig: Rig, size: Size): Promise<SectionResult>;
}

/** How much of everything; `short` only shows that the section works. */
export interface Size {
  readonly short: boolean;
  readonly rounds: number;
  /** Another checkout whose service runs beside this one's. */
  readonly against: string | undefined;
}

/** Picks the full figure or the short one. */
export function sized(size: Size, full: number, short: number): number {
  return size.short ? short : full;
}
