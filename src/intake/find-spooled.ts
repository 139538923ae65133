// What lies in the spools that this process can read, by reference: the operator's state `spooled`.
import { jobSchema, type JobData } from '../queue/job.ts';
import type { Spool } from './spool.ts';

export type FindSpooled = (gatewayReference: string) => Promise<{ readonly brand: string; readonly data: JobData }[]>;

export function createFindSpooled(spool: Pick<Spool, 'find' | 'stats'>, brands: Iterable<string>): FindSpooled {
  const names = [...brands];
  return async (gatewayReference) => {
    if (spool.stats().entries === 0) return [];
    const found = await Promise.all(
      names.map(async (brand) => {
        const texts = await spool.find(brand, gatewayReference);
        return texts.map((text) => ({ brand, data: jobSchema.parse(JSON.parse(text)) }));
      }),
    );
    return found.flat();
  };
}
