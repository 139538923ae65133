// The entries of a spool: callbacks on their way to Redis, and refused requests on their way to its quarantine.
import { crc32 } from 'node:zlib';

/**
 * The kind decides how entries are bounded when written, and where the drain hands them in; everything else is the same.
 * Earlier kinds go first, to the disk and back.
 */
export const spoolKinds = ['callback', 'quarantine'] as const;
export type SpoolKind = (typeof spoolKinds)[number];

/** The unit that keeps its order: the entries of one kind and brand. */
export interface SpoolQueue {
  readonly kind: SpoolKind;
  readonly brand: string;
}

export interface SpoolEntry extends SpoolQueue {
  /**
   * For a callback, the nonce of the failed call to Redis, so that whatever that call stored after all counts as queued. For a
   * quarantined request, its id.
   */
  readonly nonce: string;
  /** JSON text: a job (jobSchema), or a refused request (quarantine-from-spool.ts). */
  readonly data: string;
}

export interface SpooledEntry extends SpoolEntry {
  readonly id: number;
}

/** The first and last id of a run of entries. */
export type SpoolRange = readonly [first: number, last: number];

export type SpoolWrite =
  { readonly kind: 'stored' } | { readonly kind: 'full' } | { readonly kind: 'failed'; readonly code: string };

/** The part of the spool that intake needs. */
export interface SpoolDoor {
  /** Resolves by `byMs` (monotonic), to `failed` if it is not on disk by then. */
  append(entry: SpoolEntry, byMs: number): Promise<SpoolWrite>;
  canStore(): boolean;
  stats(): { readonly entries: number; readonly bytes: number };
}

/** The cost of an entry beside its text: row, two index entries. */
const overheadBytes = 160;

export function spoolBytesOf({ brand, nonce, data }: SpoolEntry): number {
  return Buffer.byteLength(data) + brand.length + nonce.length + overheadBytes;
}

/**
 * Stored beside the row. SQLite does not notice a changed byte inside a value, and the merchant would get another amount. The
 * kind is not covered: a changed kind is invalid anyway, and layout 0 has no kinds.
 */
export function checksumOf({ brand, nonce, data }: SpoolEntry): number {
  return crc32(data, crc32(`${brand}\n${nonce}\n`));
}
