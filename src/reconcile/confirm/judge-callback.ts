// Judges a callback by the gateway's transaction: the pure decision behind every confirmation.
import { isTerminal, kindOf, terminalKind } from '../../callback/identity.ts';
import type { Callback } from '../../callback/parse-callback.ts';
import type { JobData } from '../../callback/job.ts';
import { agrees, claimStatus, type Claim } from '../../store/accept/claims.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Judgement =
  | 'confirmed'
  /** The transaction ended otherwise: the gateway's result is delivered, as a correction. */
  | 'corrected'
  /** Status and amount agree, but the body differs in a field that merchants book by (isAltered): it is corrected, too. */
  | 'altered'
  /** It is in another status and has not ended; it may have changed since the callback. */
  | 'otherwise'
  /** It had already ended in another way when the callback came. */
  | 'contradicted'
  /** It has not ended at the gateway yet: ask again later. */
  | 'pending'
  /** It has changed since: whether the callback was true at its time cannot be decided, and it is no longer true. */
  | 'overtaken';

export interface Judged {
  readonly kind: string;
  readonly claim: Claim;
  /** Undefined if the job is gone: then only the claim can be compared. */
  readonly job: JobData | undefined;
}

export function judgeCallback({ kind, claim, job }: Judged, { callback, completedAtMs }: Transaction): Judgement {
  const { status, finalAmount } = callback;
  if (status === 'pending') return 'pending';
  if (kind === terminalKind) {
    if (!isTerminal(status)) return 'otherwise';
    if (!agrees(claim, status, finalAmount)) return 'corrected';
    return isAltered({ claim, job }, callback) ? 'altered' : 'confirmed';
  }
  if (kindOf(status) === kind && claim.status === claimStatus(status)) return 'confirmed';
  // The callback came after the end and claims that it had not ended; the gateway contradicts it.
  const isEndedBefore = isTerminal(status) && completedAtMs !== undefined && completedAtMs <= claim.receivedAtMs;
  return isEndedBefore ? 'contradicted' : 'overtaken';
}

/**
 * Whether the body of a callback that agrees with the gateway in status and amount differs in a field that merchants book by:
 * whose order it is, the direction of the money, and the amount, if one was ordered. Otherwise a field that only one of the
 * two has counts as equal.
 */
export function isAltered(
  { claim, job }: Pick<Judged, 'claim' | 'job'>,
  { merchantReference, type, status, finalAmount }: Callback,
): boolean {
  if (job === undefined || claim.sequence > 0) return false; // a correction is the gateway's own body
  const wasOrdered = job.expectedAmount !== undefined;
  const isAmountMissing = wasOrdered && status === 'success' && finalAmount !== null && claim.amount === '';
  return isAmountMissing || isOther(merchantReference, job.merchantReference) || isOther(type, job.type);
}

function isOther(named: string | null, came: string | null): boolean {
  return named !== null && came !== null && named !== came;
}
