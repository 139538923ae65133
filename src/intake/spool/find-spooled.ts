// Finds callbacks by reference in the spools that this process can read: the operator's state `spooled`.
import type { JobData } from '../../callback/job.ts';
import { parseData } from '../../store/callbacks/read-callbacks.ts';
import type { Spool } from './spool.ts';

export type FindSpooled = (gatewayReference: string) => Promise<{ readonly brand: string; readonly data: JobData }[]>;

export function createFindSpooled(spool: Pick<Spool, 'find' | 'stats'>, brands: Iterable<string>): FindSpooled {
  const names = [...brands];
  return async (gatewayReference) => {
    if (spool.stats().entries === 0) return [];
    const found = await Promise.all(
      names.map(async (brand) => {
        const texts = await spool.find(brand, gatewayReference);
        return texts.flatMap((text) => {
          const data = parseData(text); // an unreadable entry hides only itself
          return data === undefined ? [] : [{ brand, data }];
        });
      }),
    );
    return found.flat();
  };
}
