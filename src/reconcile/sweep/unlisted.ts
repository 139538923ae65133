// The reverse check of a sweep: callbacks that were received in a window and are missing in the gateway's list. The
// transaction may be gone at the gateway although it was confirmed, so the gateway is asked about it again, as about a
// callback never confirmed.
//
// Costs Redis the ids of the window's jobs; only unlisted jobs are read.
import { digestOf, kindOf, terminalKind } from '../../callback/identity.ts';
import { digestOfJob } from '../../callback/job.ts';
import { createJobReader, type JobRecord } from '../../store/callbacks/read-callbacks.ts';
import { receivedBetween } from '../../store/callbacks/received-between.ts';
import { askAgain, type Unconfirmed } from '../../store/confirmation/unconfirmed.ts';
import type { BrandScope } from '../brand-scope.ts';
import type { Transaction } from '../gateway/transaction.ts';
import type { Window } from './window-pages.ts';

export type Listed = ReturnType<typeof createListed>;

/** Collects the references that the gateway lists for one window. */
export function createListed(brand: string, { fromMs, toMs }: Window) {
  const references = new Set<string>();
  const digests = new Set<string>();
  return {
    fromMs,
    toMs,
    note(page: readonly Transaction[]): void {
      for (const { callback } of page) {
        const { gatewayReference, status } = callback;
        references.add(gatewayReference);
        for (const kind of new Set([terminalKind, kindOf(status) ?? terminalKind]))
          digests.add(digestOf({ brand, gatewayReference, kind }));
      }
    },
    hasDigest: (digest: string) => digests.has(digest),
    hasReference: (gatewayReference: string) => references.has(gatewayReference),
  };
}

/**
 * Schedules a question to the gateway about each callback that was received in the window of `listed` and is listed neither
 * there nor in the window before, since a callback comes after its transaction. Returns how many.
 */
export async function askForUnlisted(scope: BrandScope, before: Listed, listed: Listed): Promise<number> {
  const { redis, queue, clock } = scope;
  const readJobs = createJobReader(redis);
  const windows = [before, listed];
  let asked = 0;
  for await (const ids of receivedBetween(redis, queue, listed.fromMs, listed.toMs)) {
    const unlisted = ids.filter((id) => !windows.some((window) => window.hasDigest(digestOfJob(id))));
    const jobs = await readJobs(queue, unlisted, { withLogs: false });
    const gone = jobs.flatMap((job) => unlistedCallback(job, windows) ?? []);
    await askAgain(redis, queue, gone, clock.now());
    asked += gone.length;
  }
  return asked;
}

/** Undefined if it is listed after all (a former brand name gives another digest), or needs no question. */
function unlistedCallback({ data, claim, confirmed }: JobRecord, windows: readonly Listed[]): Unconfirmed | undefined {
  const kind = kindOf(data?.status ?? null);
  if (data === undefined || kind === undefined || claim === undefined) return undefined;
  const isAnswered = claim.sequence > 0 || confirmed === 'denied';
  const { gatewayReference } = data;
  return isAnswered || windows.some((window) => window.hasReference(gatewayReference))
    ? undefined
    : { gatewayReference, kind };
}
