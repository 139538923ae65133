// Reversals: transactions that were success here and are now neither pending nor terminal at the gateway. Money may have been
// taken back, so the new status is delivered as a kind of its own, whether its callback comes or not.
import { isTerminal, kindOf } from '../../callback/identity.ts';
import type { Claim } from '../../store/accept/claims.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import { findRemoved } from '../../store/callbacks/removed-jobs.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import type { Transaction } from '../gateway/transaction.ts';

export interface Reversal {
  /** The claim of its current status; undefined if no callback of that status came. */
  readonly claim: Claim | undefined;
  /** That claim's job was removed from the queue before it was delivered. */
  readonly isRemoved: boolean;
}

/** A transaction without a status reverses nothing. `claim`: of the terminal identity. */
export function isReversed(status: string | null, claim: Claim | undefined): boolean {
  const isOther = status !== null && status !== '' && status !== 'pending' && !isTerminal(status);
  return isOther && claim?.status === 'success';
}

/** For each transaction of a page, with one more read if there are any. */
export async function findReversals(
  redis: RedisConnection,
  queue: BrandQueue,
  page: readonly Transaction[],
  terminalClaims: readonly (Claim | undefined)[],
): Promise<(Reversal | undefined)[]> {
  const reversed = page.flatMap((transaction, at) => {
    const { gatewayReference, status } = transaction.callback;
    const kind = isReversed(status, terminalClaims[at]) ? kindOf(status) : undefined;
    return kind === undefined ? [] : [{ at, gatewayReference, kind }];
  });
  if (reversed.length === 0) return page.map(() => undefined);
  const claims = await findClaims(redis, queue, reversed);
  const removed = await findRemoved(
    redis,
    queue,
    claims.filter((claim) => claim !== undefined),
  );
  const found = new Map(
    reversed.map(({ at }, index) => {
      const claim = claims[index];
      return [at, { claim, isRemoved: claim !== undefined && removed.has(claim.jobId) }];
    }),
  );
  return page.map((_, at) => found.get(at));
}

/** It has not reached the merchant's queue, or was removed from it. */
export function isUnnotified({ claim, isRemoved }: Reversal): boolean {
  return claim === undefined || isRemoved;
}
