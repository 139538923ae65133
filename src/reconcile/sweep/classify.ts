// What a transaction at the gateway means for us: the decision of every sweep, pure.
import { isTerminal } from '../../callback/identity.ts';
import { agrees, type Claim } from '../../store/accept/claims.ts';
import { isUntold, type Reversal } from './reversals.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Classification =
  /** Here already, and saying the same. */
  | 'known'
  | 'pending'
  /** Neither pending nor terminal; its callback, if any, is an identity of its own. */
  | 'other'
  /** Was success here, stands otherwise now, and no callback has said so in time. */
  | 'reversed'
  /** Terminal or reversed, and unknown here, but its callback may still come. */
  | 'early'
  /** Terminal, and unknown here for too long, or its job was removed before it was delivered. */
  | 'missing'
  /** Here with another status or final amount. */
  | 'differs'
  /** Unknown here, and never to be injected by itself. */
  | 'tooOld';

export interface ClassifyLimits {
  /** RECONCILE_GRACE */
  readonly graceMs: number;
  /** RECONCILE_SINCE */
  readonly sinceMs: number | undefined;
  /** DEDUP_TTL */
  readonly rememberedMs: number;
  /** RECONCILE_LOOKBACK; longer where sweeps are further apart. */
  readonly lookbackMs: number;
}

export interface ClassifyInput {
  readonly transaction: Transaction;
  /** Of the terminal identity. */
  readonly claim: Claim | undefined;
  /** The claim's job was taken out of the queue before it was delivered. */
  readonly isRemoved: boolean;
  /** Where it was success here, and is neither pending nor ended now. */
  readonly reversal?: Reversal | undefined;
  /** Its completion, or when it was first seen terminal where the gateway names no past one. */
  readonly terminalSinceMs: number;
  readonly nowMs: number;
  readonly limits: ClassifyLimits;
}

/**
 * What was delivered DEDUP_TTL ago may be forgotten. A transaction is older than its callback, so its age decides,
 * less this much for a gateway whose clock is ahead of ours.
 */
const clockSkewMs = 600_000;

export function judge({
  transaction,
  claim,
  isRemoved,
  reversal,
  terminalSinceMs,
  nowMs,
  limits,
}: ClassifyInput): Classification {
  const { status, finalAmount } = transaction.callback;
  if (isTerminal(status)) {
    if (claim !== undefined && !agrees(claim, status, finalAmount)) return 'differs';
    if (claim !== undefined && !isRemoved) return 'known';
    if (isTooOld(transaction.createdAtMs ?? nowMs, nowMs, limits)) return 'tooOld';
    return nowMs < terminalSinceMs + limits.graceMs ? 'early' : 'missing';
  }
  if (status !== 'pending' && (reversal === undefined || !isUntold(reversal))) return 'other';
  if (isTooOld(transaction.createdAtMs ?? nowMs, nowMs, limits)) return 'tooOld';
  if (reversal === undefined) return 'pending';
  return nowMs < terminalSinceMs + limits.graceMs ? 'early' : 'reversed';
}

export function isTooOld(
  createdAtMs: number,
  nowMs: number,
  { sinceMs, rememberedMs }: Pick<ClassifyLimits, 'sinceMs' | 'rememberedMs'>,
): boolean {
  return createdAtMs < oldestInjectedMs(nowMs, rememberedMs) || (sinceMs !== undefined && createdAtMs < sinceMs);
}

/** Nothing created before this time may be injected: its callback may have been delivered and forgotten. */
export function oldestInjectedMs(nowMs: number, rememberedMs: number): number {
  // A short memory (in a test, say) keeps most of itself.
  return nowMs - rememberedMs + Math.min(clockSkewMs, rememberedMs / 10);
}
