// Whether an ordinary callback still fits into the spool: readiness uses it to turn 503 before one is refused.
//
// The ordinary size is the largest of the recent callbacks, stored or not, and of those in the spool. One that would not fit into
// an empty spool does not count. Smaller ones that fit are stored anyway.
import { statfsSync } from 'node:fs';

export interface Used {
  readonly bytes: number;
  readonly largestBytes: number;
}

export type Room = ReturnType<typeof createRoom>;

/** Recent means this many callbacks, and up to as many before them. */
const generation = 128;
/** The ordinary size before any callback was seen: a kilobyte or two, and its row. */
const ordinaryBytesMin = 4_096;
/** For what SQLite writes besides an entry. */
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

    /** The size of an ordinary callback. */
    ordinaryBytes: () => Math.max(ordinaryBytesMin, largest, largestBefore),

    /** Short until there is room for two, so that readiness does not flap; if one fills the spool, until it is empty. */
    isShort({ bytes, largestBytes }: Used): boolean {
      const ordinary = Math.max(this.ordinaryBytes(), largestBytes);
      const room = Math.min(maxBytes - bytes, freeBytesOf(dir) - diskReserveBytes);
      isShort = room < (isShort ? Math.min(2 * ordinary, maxBytes) : ordinary);
      return isShort;
    },
  };
}

/** Infinite if the system does not tell. */
function freeBytesOf(dir: string): number {
  try {
    const { blocks, bsize, bfree, bavail } = statfsSync(dir);
    if (blocks === 0) return Number.POSITIVE_INFINITY;
    return bsize * (process.getuid?.() === 0 ? bfree : bavail);
  } catch {
    return Number.POSITIVE_INFINITY; // the folder's own problem is reported elsewhere
  }
}
