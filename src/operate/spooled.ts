// What lies in the spools of this host, as callbacks: found by reference, or listed.
import type { Spool } from '../intake/spool.ts';
import { parseData } from '../queue/ledger-read.ts';
import { toSpooled, type CallbackRow, type SpooledCallback } from '../queue/ledger-view.ts';

export type SpoolReader = Pick<Spool, 'find' | 'readBatch' | 'stats'>;

export function createSpooled({ spool, brands }: { spool: SpoolReader; brands: readonly string[] }) {
  return {
    find: async (gatewayReference: string): Promise<SpooledCallback[]> => {
      const found = await Promise.all(
        brands.map(async (brand) => (await spool.find(brand, gatewayReference)).flatMap((text) => parse(brand, text))),
      );
      return found.flat();
    },

    /** The oldest of each brand, newest first; the spool is drained as soon as Redis is back, so one page will do. */
    list: async (limit: number, brand: string | undefined): Promise<CallbackRow[]> => {
      const chosen = brands.filter((name) => name === (brand ?? name));
      const batches = await Promise.all(
        chosen.map(async (name) =>
          (await spool.readBatch(name, limit)).entries.flatMap(({ data }) => parse(name, data)),
        ),
      );
      return batches
        .flat()
        .map(toSpooled)
        .toSorted((a, b) => b.receivedAt.localeCompare(a.receivedAt))
        .slice(0, limit);
    },
  };
}

export type Spooled = ReturnType<typeof createSpooled>;

function parse(brand: string, text: string): SpooledCallback[] {
  const data = parseData(text);
  return data === undefined ? [] : [{ brand, data }];
}
