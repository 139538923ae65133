// What lies in a spool: callbacks on their way to Redis, and refused requests on their way to its quarantine.
import { crc32 } from 'node:zlib';

/**
 * How entries of a kind are bounded when they are written, and where the drain takes them; all else is the same for each.
 * The first ones go first, on their way to the disk and back.
 */
export const spoolKinds = ['callback', 'quarantine'] as const;
export type SpoolKind = (typeof spoolKinds)[number];

/** What keeps its order: the entries of one kind and brand. */
export interface SpoolQueue {
  readonly kind: SpoolKind;
  readonly brand: string;
}

export interface SpoolEntry extends SpoolQueue {
  /**
   * A callback's is carried from the call to Redis that failed: what that call stored after all then counts as queued. A
   * quarantined request's is its id.
   */
  readonly nonce: string;
  /** JSON text: a job (jobSchema), or what is kept of a refused request (quarantine-from-spool.ts). */
  readonly data: string;
}

export interface SpooledEntry extends SpoolEntry {
  readonly id: number;
}

/** The ids of a batch. */
export type SpoolRange = readonly [first: number, last: number];

export type SpoolWrite =
  { readonly kind: 'stored' } | { readonly kind: 'full' } | { readonly kind: 'failed'; readonly code: string };

/** What intake needs of the spool. */
export interface SpoolDoor {
  /** Answers by `byMs` (monotonic), with `failed` where it is not on the disk then. */
  append(entry: SpoolEntry, byMs: number): Promise<SpoolWrite>;
  canStore(): boolean;
  stats(): { readonly entries: number; readonly bytes: number };
}

/** What an entry costs beside its text: row, two index entries. */
const overheadBytes = 160;

export function spoolBytesOf({ brand, nonce, data }: SpoolEntry): number {
  return Buffer.byteLength(data) + brand.length + nonce.length + overheadBytes;
}

/**
 * Stands beside the row. SQLite does not see a byte that changes inside a value, and the merchant would be told another
 * amount. The kind is not in it: a changed one is none, and layout 0 has no kinds.
 */
export function checksumOf({ brand, nonce, data }: SpoolEntry): number {
  return crc32(data, crc32(`${brand}\n${nonce}\n`));
}
