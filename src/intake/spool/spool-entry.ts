// What lies in a spool: callbacks on their way to Redis, and requests on their way to its quarantine.
import { crc32 } from 'node:zlib';

export interface SpoolEntry {
  readonly brand: string;
  /** Carried from the call to Redis that failed: what that call stored after all then counts as queued. */
  readonly nonce: string;
  /** The job as JSON text (jobSchema). */
  readonly data: string;
}

export interface SpooledEntry extends SpoolEntry {
  readonly id: number;
}

export interface SpoolQuarantineEntry {
  readonly atMs: number;
  /** Everything but the body, as JSON text. */
  readonly meta: string;
  readonly body: Uint8Array;
}

export interface SpooledQuarantineEntry extends SpoolQuarantineEntry {
  readonly id: number;
}

/** What an entry costs beside its text: row, two index entries. */
const overheadBytes = 160;

export function spoolBytesOf({ brand, nonce, data }: SpoolEntry): number {
  return Buffer.byteLength(data) + brand.length + nonce.length + overheadBytes;
}

export function quarantineBytesOf({ meta, body }: SpoolQuarantineEntry): number {
  return Buffer.byteLength(meta) + body.byteLength + overheadBytes;
}

/** Stands beside the row. SQLite does not see a byte that changes inside a value, and the merchant would be told another amount. */
export function checksumOf({ brand, nonce, data }: SpoolEntry): number {
  return crc32(data, crc32(`${brand}\n${nonce}\n`));
}

export function quarantineChecksumOf({ atMs, meta, body }: SpoolQuarantineEntry): number {
  return crc32(body, crc32(`${atMs}\n${meta}\n`));
}
