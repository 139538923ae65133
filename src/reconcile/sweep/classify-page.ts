// Classifies a page of the gateway's transactions against the claims here, with one pipelined read.
import { digestOf, isTerminal, kindOf, terminalKind } from '../../callback/identity.ts';
import type { Claim } from '../../store/accept/claims.ts';
import { recordedWithinMs } from '../../store/callbacks/delivery-records.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import { firstSeen } from '../../store/reconciliation/first-seen.ts';
import { findRemoved } from '../../store/callbacks/removed-jobs.ts';
import { findReversals, type Reversal } from './reversals.ts';
import type { BrandScope } from '../brand-scope.ts';
import { judge, type Classification } from './classify.ts';
import type { Transaction } from '../gateway/transaction.ts';

const seenKeptMs = 86_400_000;

export interface Classified {
  readonly transaction: Transaction;
  readonly claim: Claim | undefined;
  /** The claim's job was removed from the queue before it was delivered. */
  readonly isRemoved: boolean;
  readonly reversal?: Reversal | undefined;
  readonly terminalSinceMs: number;
  readonly classification: Classification;
}

export async function classifyPage(scope: BrandScope, page: readonly Transaction[]): Promise<Classified[]> {
  const { redis, queue, brand, clock, limits } = scope;
  const sought = page.map(({ callback: { gatewayReference } }) => ({ gatewayReference, kind: terminalKind }));
  const claims = await findClaims(redis, queue, sought);
  const digests = page.map(({ callback: { gatewayReference, status } }) =>
    digestOf({ brand, gatewayReference, kind: kindOf(status) ?? terminalKind }),
  );
  const reversals = await findReversals(redis, queue, page, claims);
  const removed = await findRemoved(
    redis,
    queue,
    claims.filter((claim) => claim !== undefined),
  );
  const nowMs = clock.now();
  const undated = page
    .map((transaction, index) => ({ transaction, digest: digests[index] ?? '', index }))
    .filter(({ transaction: { callback, completedAtMs }, index }) => {
      if ((completedAtMs ?? Infinity) <= nowMs) return false;
      const reversal = reversals[index];
      if (reversal !== undefined) return reversal.claim === undefined;
      return claims[index] === undefined && isTerminal(callback.status);
    })
    .map(({ digest }) => digest);
  const keptMs = Math.max(seenKeptMs, 2 * limits.graceMs);
  const seen = await firstSeen(redis, queue, undated, { nowMs, keptMs });
  const seenAt = new Map(undated.map((digest, index) => [digest, seen[index] ?? nowMs]));
  return page.map((transaction, index) => {
    const claim = claims[index];
    const isRemoved = claim !== undefined && (removed.has(claim.jobId) || claim.state === 'removed');
    const terminalSinceMs = seenAt.get(digests[index] ?? '') ?? Math.min(transaction.completedAtMs ?? nowMs, nowMs);
    const reversal = reversals[index];
    return {
      transaction,
      claim,
      isRemoved,
      reversal,
      terminalSinceMs,
      classification: judge({ transaction, claim, isRemoved, reversal, terminalSinceMs, nowMs, limits }),
    };
  });
}

/**
 * Like `classifyPage`, for callers that act on the result. A job that is gone may be held by a worker whose lease or record
 * takes a moment to appear, so a job that looks removed is checked a second time.
 */
export async function classifyTwice(
  scope: BrandScope,
  page: readonly Transaction[],
  signal: AbortSignal,
): Promise<Classified[]> {
  const classified = await classifyPage(scope, page);
  const seemsRemoved = ({ classification, isRemoved, reversal }: Classified) =>
    (classification === 'missing' && isRemoved) || (classification === 'reversed' && reversal?.isRemoved === true);
  if (!classified.some(seemsRemoved)) return classified;
  await scope.clock.sleep(recordedWithinMs, signal);
  return classifyPage(scope, page);
}
