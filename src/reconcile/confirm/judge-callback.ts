// What the gateway's transaction says of a callback: the decision of every confirmation, pure.
import { isTerminal, kindOf, terminalKind } from '../../callback/identity.ts';
import { agrees, claimStatus, type Claim } from '../../store/accept/claims.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Judgement =
  | 'confirmed'
  /** It ended otherwise: what is delivered is the gateway's word, as a correction. */
  | 'corrected'
  /** It stands otherwise, without having ended: perhaps it went on since. */
  | 'otherwise'
  /** It had ended otherwise before the callback came. */
  | 'contradicted'
  /** It has not ended at the gateway yet: to be asked again. */
  | 'pending'
  /** It went on since: whether the callback was true at its time cannot be told. */
  | 'overtaken';

/** `claim`: of the callback, of `kind`. */
export function judgeCallback(kind: string, claim: Claim, { callback, completedAtMs }: Transaction): Judgement {
  const { status, finalAmount } = callback;
  if (status === 'pending') return 'pending';
  if (kind === terminalKind) {
    if (!isTerminal(status)) return 'otherwise';
    return agrees(claim, status, finalAmount) ? 'confirmed' : 'corrected';
  }
  if (kindOf(status) === kind && claim.status === claimStatus(status)) return 'confirmed';
  // A callback that came after the end and says that it did not end: the gateway says that it did.
  const isEndedBefore = isTerminal(status) && completedAtMs !== undefined && completedAtMs <= claim.receivedAtMs;
  return isEndedBefore ? 'contradicted' : 'overtaken';
}
