// What intake needs of the spool, and what it puts there.

/** A callback as the spool holds it: enough to hand it in again as if it had just come. */
export interface SpoolEntry {
  readonly brand: string;
  readonly nonce: string;
  /** The job's JSON text. */
  readonly data: string;
}

/** What intake needs of the spool. */
export interface SpoolDoor {
  /** Answers by `byMs` (monotonic), with `failed` where it is not on the disk then. */
  append(
    entry: SpoolEntry,
    byMs: number,
  ): Promise<{ kind: 'stored' } | { kind: 'full' } | { kind: 'failed'; code: string }>;
  canStore(): boolean;
  stats(): { readonly entries: number; readonly bytes: number };
}
