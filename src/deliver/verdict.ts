// The verdict on an attempt: a pure function.
//
// Any 2xx is done. Everything else, redirects included, waits as FORWARD_RETRIES says and fails after the last wait.
// `Retry-After` can only lengthen a wait: a merchant that always says "in one second" would otherwise use up its schedule in
// seconds. It is honoured up to an hour, so that a wrong clock cannot park a payment for a year.
import type { AttemptResult } from './attempt.ts';
import { isSuccess, retryAfterMs } from '../http/http-answer.ts';

export type Verdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly waitMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

export interface VerdictCase {
  readonly result: Exclude<AttemptResult, { kind: 'aborted' }>;
  /** How many attempts of this schedule came before: 0 for the first. */
  readonly position: number;
  readonly scheduleMs: readonly number[];
  readonly nowMs: number;
  /** 0 to 1, exclusive. */
  readonly random: number;
}

/** Callbacks that failed together must not be retried together. */
const jitterMax = 0.2;
export const retryAfterMaxMs = 3_600_000;

export function verdictOf({ result, position, scheduleMs, nowMs, random }: VerdictCase): Verdict {
  if (result.kind === 'returned') return { kind: 'done' };
  if (result.kind === 'answered' && isSuccess(result.status)) return { kind: 'done' };
  const reason = reasonOf(result);
  if (result.kind === 'permanent') return { kind: 'failed', reason };
  const scheduledMs = scheduleMs[position];
  if (scheduledMs === undefined) return { kind: 'failed', reason: `${reason}, the last of ${position + 1} attempts` };
  const askedMs =
    result.kind === 'answered' ? Math.min(retryAfterMs(result.retryAfter, nowMs) ?? 0, retryAfterMaxMs) : 0;
  return { kind: 'retry', waitMs: Math.round(Math.max(scheduledMs, askedMs) * (1 + jitterMax * random)) };
}

/** A short reason: `HTTP 500`, `timeout`, `ECONNREFUSED`. */
function reasonOf(result: Exclude<VerdictCase['result'], { kind: 'returned' }>): string {
  return result.kind === 'answered' ? `HTTP ${result.status}` : result.error;
}
