// The callbacks in the spools that this process can read: by reference, and as a page of a list.
import type { Spool } from '../intake/spool/spool.ts';
import { parseData } from '../store/callbacks/read-callbacks.ts';
import {
  callbackRowSchema,
  toSpooled,
  type CallbackRow,
  type SpooledCallback,
} from '../store/callbacks/callback-view.ts';

export type SpoolReader = Pick<Spool, 'find' | 'readBatch' | 'stats'>;

export function createSpooledCallbacks(spool: SpoolReader, brands: readonly string[]) {
  /** In batches, which are bounded in bytes; a row is small, since it has no body. */
  async function oldestOf(brand: string, limit: number): Promise<CallbackRow[]> {
    const rows: CallbackRow[] = [];
    const position = new Map<string, number>();
    while (rows.length < limit) {
      const { folder, entries } = await spool.readBatch({ kind: 'callback', brand }, limit - rows.length, position);
      const last = entries.at(-1);
      if (last === undefined) break;
      position.set(folder, last.id);
      const spooled = entries.flatMap((entry) => readable(brand, entry.data));
      rows.push(...spooled.map((callback) => callbackRowSchema.parse(toSpooled(callback))));
    }
    return rows;
  }

  return {
    find: async (gatewayReference: string): Promise<SpooledCallback[]> => {
      if (spool.stats().entries === 0) return [];
      const found = brands.map(async (brand) =>
        (await spool.find(brand, gatewayReference)).flatMap((text) => readable(brand, text)),
      );
      return (await Promise.all(found)).flat();
    },

    /** The oldest of each brand, newest first; the spool is drained as soon as Redis is back, so one page is enough. */
    list: async (limit: number, brand: string | undefined): Promise<CallbackRow[]> => {
      const rows: CallbackRow[] = [];
      for (const name of brands) {
        if (brand === undefined || brand === name) rows.push(...(await oldestOf(name, limit)));
      }
      return rows.toSorted((a, b) => b.receivedAt.localeCompare(a.receivedAt)).slice(0, limit);
    },
  };
}

/** An unreadable entry hides only itself. */
function readable(brand: string, text: string): SpooledCallback[] {
  const data = parseData(text);
  return data === undefined ? [] : [{ brand, data }];
}
