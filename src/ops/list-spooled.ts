// The callbacks in this host's spools, as a page of a list.
import type { Spool } from '../intake/spool/spool.ts';
import { parseData } from '../store/callbacks/read-callbacks.ts';
import { callbackRowSchema, toSpooled, type CallbackRow } from '../store/callbacks/callback-view.ts';

export type SpoolReader = Pick<Spool, 'find' | 'readBatch' | 'stats'>;

/** The oldest of each brand, newest first; the spool is drained as soon as Redis is back, so one page is enough. */
export function createListSpooled(spool: SpoolReader, brands: readonly string[]) {
  /** In batches, which are bounded in bytes; a row is small, since it has no body. */
  async function oldestOf(brand: string, limit: number): Promise<CallbackRow[]> {
    const rows: CallbackRow[] = [];
    const position = new Map<string, number>();
    while (rows.length < limit) {
      const { folder, entries } = await spool.readBatch({ kind: 'callback', brand }, limit - rows.length, position);
      const last = entries.at(-1);
      if (last === undefined) break;
      position.set(folder, last.id);
      for (const entry of entries) {
        const data = parseData(entry.data);
        if (data !== undefined) rows.push(callbackRowSchema.parse(toSpooled({ brand, data })));
      }
    }
    return rows;
  }

  return async function listSpooled(limit: number, brand: string | undefined): Promise<CallbackRow[]> {
    const rows: CallbackRow[] = [];
    for (const name of brands) {
      if (brand === undefined || brand === name) rows.push(...(await oldestOf(name, limit)));
    }
    return rows.toSorted((a, b) => b.receivedAt.localeCompare(a.receivedAt)).slice(0, limit);
  };
}
