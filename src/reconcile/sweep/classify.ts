// Classifies a transaction at the gateway: the pure decision behind every sweep.
import { isTerminal } from '../../callback/identity.ts';
import { agrees, type Claim } from '../../store/accept/claims.ts';
import { isUnnotified, type Reversal } from './reversals.ts';
import type { Transaction } from '../gateway/transaction.ts';

export type Classification =
  /** Received, and in agreement. */
  | 'known'
  | 'pending'
  /** Neither pending nor terminal; its callback, if any, is an identity of its own. */
  | 'other'
  /** Was success here; the gateway has another status now, and no callback reported it in time. */
  | 'reversed'
  /** Terminal or reversed, and not received, but its callback may still come. */
  | 'early'
  /** Terminal and not received for too long, or its job was removed before it was delivered. */
  | 'missing'
  /** Received with another status or final amount. */
  | 'differs'
  /** Not received, and too old to be injected automatically. */
  | 'tooOld';

export interface ClassifyLimits {
  /** RECONCILE_GRACE */
  readonly graceMs: number;
  /** RECONCILE_SINCE */
  readonly sinceMs: number | undefined;
  /** DEDUP_TTL */
  readonly dedupTtlMs: number;
  /** RECONCILE_LOOKBACK; longer if sweeps are further apart. */
  readonly lookbackMs: number;
}

export interface ClassifyInput {
  readonly transaction: Transaction;
  /** The claim of the terminal identity. */
  readonly claim: Claim | undefined;
  /** The claim's job was removed from the queue before it was delivered. */
  readonly isRemoved: boolean;
  /** If it was success here, and is now neither pending nor terminal. */
  readonly reversal?: Reversal | undefined;
  /** Its completion; if the gateway names no past one, when it was first seen terminal. */
  readonly terminalSinceMs: number;
  readonly nowMs: number;
  readonly limits: ClassifyLimits;
}

/**
 * Claims from DEDUP_TTL ago may have expired. A transaction is older than its callback, so its age decides, minus this margin
 * for a gateway whose clock is ahead of ours.
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
  if (status !== 'pending' && (reversal === undefined || !isUnnotified(reversal))) return 'other';
  if (isTooOld(transaction.createdAtMs ?? nowMs, nowMs, limits)) return 'tooOld';
  if (reversal === undefined) return 'pending';
  return nowMs < terminalSinceMs + limits.graceMs ? 'early' : 'reversed';
}

export function isTooOld(
  createdAtMs: number,
  nowMs: number,
  { sinceMs, dedupTtlMs }: Pick<ClassifyLimits, 'sinceMs' | 'dedupTtlMs'>,
): boolean {
  return createdAtMs < oldestInjectedMs(nowMs, dedupTtlMs) || (sinceMs !== undefined && createdAtMs < sinceMs);
}

/** Nothing created before this time may be injected: its callback may have been delivered, and its claim expired. */
export function oldestInjectedMs(nowMs: number, dedupTtlMs: number): number {
  // A short DEDUP_TTL (in a test, say) loses only a tenth.
  return nowMs - dedupTtlMs + Math.min(clockSkewMs, dedupTtlMs / 10);
}
