// The callbacks that lie in the spools of this host, as a page of a list.
import type { Spool } from '../intake/spool.ts';
import { parseData } from '../queue/ledger-read.ts';
import { toSpooled, type CallbackRow } from '../queue/ledger-view.ts';

export type SpoolReader = Pick<Spool, 'find' | 'readBatch' | 'stats'>;

/** The oldest of each brand, newest first; the spool is drained as soon as Redis is back, so one page will do. */
export function createListSpooled(spool: SpoolReader, brands: readonly string[]) {
  return async function listSpooled(limit: number, brand: string | undefined): Promise<CallbackRow[]> {
    const chosen = brands.filter((name) => name === (brand ?? name));
    const batches = await Promise.all(
      chosen.map(async (name) =>
        (await spool.readBatch(name, limit)).entries.flatMap((entry) => {
          const data = parseData(entry.data);
          return data === undefined ? [] : [toSpooled({ brand: name, data })];
        }),
      ),
    );
    return batches
      .flat()
      .toSorted((a, b) => b.receivedAt.localeCompare(a.receivedAt))
      .slice(0, limit);
  };
}
