// The spool as operators use it without a running service: listing and draining it.
//
// Promises: touches only subfolders that no process holds, and only this deployment's unless told to take all; the others are
// counted and left alone. Nothing is deleted before Redis confirmed it, as in the service itself.
import { existsSync } from 'node:fs';
import { jobSchema } from '../../callback/job.ts';
import { createDrain, type DrainDependencies } from '../drain.ts';
import { listSpoolFolders } from './spool-folder.ts';
import { foreignFolders, readOwner, type FolderOwner, type Owner } from './spool-owner.ts';
import { createSpool } from './spool.ts';
import { spoolCodeOf } from './spool-code.ts';
import { openSpoolStore, type SpoolStore } from './spool-store.ts';

export interface SpoolListing {
  readonly folder: string;
  readonly owner: FolderOwner;
  /** `in use`: a running process holds it and drains it itself. `later version`: left for the version that wrote it. */
  readonly state: 'free' | 'in use' | 'later version' | 'damaged';
  readonly entries: number;
  readonly quarantineEntries: number;
  readonly bytes: number;
  /** The oldest ones of each brand. */
  readonly callbacks: readonly SpooledCallback[];
}

export interface SpooledCallback {
  readonly brand: string;
  /** Null if the entry cannot be read as a job. */
  readonly gatewayReference: string | null;
  readonly status: string | null;
  readonly receivedAt: string | null;
}

export interface DrainByHandOptions extends Omit<DrainDependencies, 'spool'> {
  /** SPOOL_DIR, or another process's. */
  readonly dir: string;
  /** Drains only this owner's subfolders; all if undefined. */
  readonly owner?: Owner | undefined;
  readonly log: DrainDependencies['log'] & { error(fields: object): void };
  readonly deadlineMs?: number;
}

export interface DrainedByHand {
  readonly drained: number;
  /** Callbacks that Redis did not take; they stay. */
  readonly left: number;
  /** Subfolders that a running process holds, that are damaged, or that a later version wrote. */
  readonly untouched: number;
  /** Subfolders of other deployments, if there are any. */
  readonly foreign?: number;
}

const states = new Map<string, SpoolListing['state']>([
  ['SPOOL_LOCKED', 'in use'],
  ['SPOOL_LATER_VERSION', 'later version'],
]);
const allOfIt = Number.MAX_SAFE_INTEGER;

/** Drains every free subfolder of `dir`. Undefined if there is no such folder. */
export async function drainSpoolByHand(options: DrainByHandOptions): Promise<DrainedByHand | undefined> {
  const { dir, owner, log, deadlineMs = 600_000, ...way } = options;
  if (!existsSync(dir)) return undefined;
  const spool = createSpool({ dir, owner, maxBytes: allOfIt, quarantineMaxBytes: allOfIt, log });
  try {
    await spool.ready();
    await spool.adoptOrphans();
    const { entries, quarantineEntries } = spool.stats();
    const drain = createDrain({ spool, log, ...way });
    drain.start();
    const left = await drain.stop(deadlineMs);
    await spool.close();
    const remaining = listSpoolFolders(dir);
    const foreign = foreignFolders(remaining, owner).size;
    const untouched = left > 0 ? 0 : remaining.length - foreign;
    return { drained: entries + quarantineEntries - left, left, untouched, ...(foreign > 0 && { foreign }) };
  } finally {
    await spool.close();
  }
}

/** The contents of `dir`, at most `limit` callbacks per brand and subfolder. */
export function listSpool(dir: string, limit = 100): SpoolListing[] {
  return listSpoolFolders(dir).map((folder) => {
    const owner = readOwner(folder);
    const nothing = { folder, owner, entries: 0, quarantineEntries: 0, bytes: 0, callbacks: [] };
    try {
      const store = openSpoolStore(folder);
      try {
        const { callback, quarantine } = store.totals();
        const counts = { ...callback, quarantineEntries: quarantine.entries };
        return { folder, owner, state: 'free', ...counts, callbacks: callbacksOf(store, limit) };
      } finally {
        store.close();
      }
    } catch (error) {
      return { ...nothing, state: states.get(spoolCodeOf(error)) ?? 'damaged' };
    }
  });
}

function callbacksOf(store: SpoolStore, limit: number): SpooledCallback[] {
  const queues = store.queues().filter(({ kind }) => kind === 'callback');
  return queues.flatMap((queue) => {
    const found: SpooledCallback[] = [];
    // In batches, which are bounded in bytes.
    for (let afterId = 0; found.length < limit;) {
      const entries = store.read(queue, limit - found.length, afterId);
      const last = entries.at(-1);
      if (last === undefined) break;
      afterId = last.id;
      found.push(...entries.map(({ data }) => describe(queue.brand, data)));
    }
    return found;
  });
}

function describe(brand: string, data: string): SpooledCallback {
  try {
    const { gatewayReference, status, receivedAt } = jobSchema.parse(JSON.parse(data));
    return { brand, gatewayReference, status, receivedAt };
  } catch {
    return { brand, gatewayReference: null, status: null, receivedAt: null };
  }
}
