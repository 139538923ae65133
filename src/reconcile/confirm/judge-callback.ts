// What the gateway's transaction says of a callback: the decision of every confirmation, pure.
import { isTerminal, kindOf, terminalKind } from '../../callback/identity.ts';
import type { Callback } from '../../callback/parse-callback.ts';
import type { JobData } from '../../callback/job.ts';
import { agrees, claimStatus, type Claim } from '../../store/accept/claims.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Judgement =
  | 'confirmed'
  /** It ended otherwise: what is delivered is the gateway's word, as a correction. */
  | 'corrected'
  /** It ended so, but the body says otherwise in what a merchant books by (isAltered): it is corrected, too. */
  | 'altered'
  /** It stands otherwise, without having ended: perhaps it went on since. */
  | 'otherwise'
  /** It had ended otherwise before the callback came. */
  | 'contradicted'
  /** It has not ended at the gateway yet: to be asked again. */
  | 'pending'
  /** It went on since: whether the callback was true at its time cannot be told, and it is not true any more. */
  | 'overtaken';

export interface Judged {
  readonly kind: string;
  readonly claim: Claim;
  /** Undefined where the job is gone: what it said beside its claim cannot be told any more. */
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
  // A callback that came after the end and says that it did not end: the gateway says that it did.
  const isEndedBefore = isTerminal(status) && completedAtMs !== undefined && completedAtMs <= claim.receivedAtMs;
  return isEndedBefore ? 'contradicted' : 'overtaken';
}

/**
 * Whether the body of a callback that agrees with the gateway in status and amount says otherwise in what a merchant books by:
 * whose order it is, whether money came or went, and how much, where an amount was ordered. What one of the two does not name
 * contradicts nothing else.
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
