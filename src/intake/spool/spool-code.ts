// Stable codes for spool errors.
import * as z from 'zod';

const sqliteCodes = new Map([
  [5, 'SPOOL_LOCKED'],
  [6, 'SPOOL_LOCKED'],
  [8, 'SPOOL_READ_ONLY'],
  [10, 'SPOOL_IO'],
  [11, 'SPOOL_CORRUPT'],
  [13, 'SPOOL_DISK_FULL'],
  [14, 'SPOOL_CANNOT_OPEN'],
  [26, 'SPOOL_CORRUPT'],
]);

/** A stable code: SQLite's primary result code, else the system's own code. */
export function spoolCodeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'SPOOL_FAILED';
  if ('errcode' in error && typeof error.errcode === 'number')
    return sqliteCodes.get(error.errcode % 256) ?? 'SPOOL_FAILED';
  if ('code' in error && typeof error.code === 'string')
    return error.code === 'ENOSPC' ? 'SPOOL_DISK_FULL' : error.code;
  return 'SPOOL_FAILED';
}

export class SpoolDamagedError extends Error {
  readonly code = 'SPOOL_CORRUPT';
}

/** Files of a later version are left alone: they may mean something that this version does not know. */
export class SpoolLaterVersionError extends Error {
  readonly code = 'SPOOL_LATER_VERSION';
}

/** Whether the file itself is damaged, so that its readable part must be salvaged. */
export function isDamage(error: unknown): boolean {
  const code = spoolCodeOf(error);
  // ERR_OUT_OF_RANGE: an id beyond JavaScript's safe integers, which none of our rows had.
  return code === 'SPOOL_CORRUPT' || code === 'ERR_OUT_OF_RANGE' || error instanceof z.ZodError;
}
