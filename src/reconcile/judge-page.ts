// Judges a page of the gateway's transactions against what is known here: one pipelined read for all of them.
import { digestOf, isTerminal, terminalKind } from '../callback/identity.ts';
import type { Claim } from '../queue/claims.ts';
import { findClaims } from '../queue/find-claims.ts';
import { firstSeen } from '../queue/first-seen.ts';
import { findRemoved } from '../queue/removed-jobs.ts';
import type { BrandScope } from './brand-scope.ts';
import { judge, type Judgement } from './judge.ts';
import type { Transaction } from './transaction.ts';

export interface Judged {
  readonly transaction: Transaction;
  readonly claim: Claim | undefined;
  readonly terminalSinceMs: number;
  readonly judgement: Judgement;
}

export async function judgePage(scope: BrandScope, page: readonly Transaction[]): Promise<Judged[]> {
  const { redis, queue, brand, clock, limits } = scope;
  const sought = page.map(({ callback: { gatewayReference } }) => ({ gatewayReference, kind: terminalKind }));
  const claims = await findClaims(redis, queue, sought);
  const digests = sought.map((identity) => digestOf({ brand, ...identity }));
  const removed = await findRemoved(
    redis,
    queue,
    claims.filter((claim) => claim !== undefined),
  );
  const nowMs = clock.now();
  const undated = page
    .map((transaction, index) => ({ transaction, digest: digests[index] ?? '', claim: claims[index] }))
    .filter(
      ({ transaction: { callback, completedAtMs }, claim }) =>
        claim === undefined && completedAtMs === undefined && isTerminal(callback.status),
    )
    .map(({ digest }) => digest);
  const seen = await firstSeen(redis, queue, undated, nowMs);
  const seenAt = new Map(undated.map((digest, index) => [digest, seen[index] ?? nowMs]));
  return page.map((transaction, index) => {
    const claim = claims[index];
    const isRemoved = claim !== undefined && removed.has(claim.jobId);
    const terminalSinceMs = transaction.completedAtMs ?? seenAt.get(digests[index] ?? '') ?? nowMs;
    return {
      transaction,
      claim,
      terminalSinceMs,
      judgement: judge({ transaction, claim, isRemoved, terminalSinceMs, nowMs, limits }),
    };
  });
}
