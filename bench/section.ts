// A section of the benchmark: its name, its sizes, and the table that it produces.
import type { Rig } from './rig.ts';

export interface SectionResult {
  readonly rows: readonly Row[];
  /** The ratios, compared with the goals. */
  readonly summary: Readonly<Record<string, number>>;
  readonly notes?: readonly string[];
}

export type Row = Readonly<Record<string, string | number>>;

export interface Section {
  readonly name: string;
  readonly title: string;
  run(rig: Rig, size: Size): Promise<SectionResult>;
}

/** The sizes of the run; `short` only shows that the section works. */
export interface Size {
  readonly short: boolean;
  readonly rounds: number;
  /** Another checkout whose service is measured for comparison. */
  readonly against: string | undefined;
}

/** Picks the full size or the short one. */
export function sized(size: Size, full: number, short: number): number {
  return size.short ? short : full;
}
