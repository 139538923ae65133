// Whether an ordinary callback still fits into the spool: what readiness asks, before one is refused.
//
// Ordinary is as large as the largest one of late, whether it fitted or not, and of those that lie in the spool. One
// that no empty spool could take says nothing about room. What is smaller and fits is stored anyway.
import { statfsSync } from 'node:fs';

export interface Used {
  readonly bytes: number;
  readonly largestBytes: number;
}

export type Room = ReturnType<typeof createRoom>;

/** Of late: this many callbacks, and up to as many before them. */
const generation = 128;
/** An ordinary callback where none was seen: a kilobyte or two, and its row. */
const ordinaryBytesMin = 4_096;
/** For what SQLite writes beside an entry. */
const diskReserveBytes = 131_072;

export function createRoom({ dir, maxBytes }: { dir: string; maxBytes: number }) {
  let seen = 0;
  let largest = 0;
  let largestBefore = 0;
  let isShort = false;

  return {
    offered(bytes: number): void {
      if (bytes > maxBytes) return;
      largest = Math.max(largest, bytes);
      seen += 1;
      if (seen % generation !== 0) return;
      largestBefore = largest;
      largest = 0;
    },

    /** How large an ordinary callback is. */
    ordinaryBytes: () => Math.max(ordinaryBytesMin, largest, largestBefore),

    /** Short until there is room for two, so that readiness does not flap; for one that fills the spool, until it is empty. */
    isShort({ bytes, largestBytes }: Used): boolean {
      const ordinary = Math.max(this.ordinaryBytes(), largestBytes);
      const room = Math.min(maxBytes - bytes, freeBytesOf(dir) - diskReserveBytes);
      isShort = room < (isShort ? Math.min(2 * ordinary, maxBytes) : ordinary);
      return isShort;
    },
  };
}

/** Infinite where the system does not say. */
function freeBytesOf(dir: string): number {
  try {
    const { blocks, bsize, bfree, bavail } = statfsSync(dir);
    if (blocks === 0) return Number.POSITIVE_INFINITY;
    return bsize * (process.getuid?.() === 0 ? bfree : bavail);
  } catch {
    return Number.POSITIVE_INFINITY; // the folder's own problem is reported elsewhere
  }
}
