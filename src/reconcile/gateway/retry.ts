// When a call to the gateway is retried, as the gateway's documentation says (pure).
import { retryAfterMs } from '../../http/http-answer.ts';

/** The outcome of one try: an HTTP status, or no answer. */
type TryResult =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfter: string | undefined }
  | { readonly kind: 'no-answer' };

export interface RetryInput {
  readonly method: 'GET' | 'POST';
  readonly result: TryResult;
  /** Tries made so far, from 1. */
  readonly tries: number;
  readonly triesMax: number;
  readonly nowMs: number;
  /** 0 to 1, for the jitter. */
  readonly random: number;
}

const firstWaitMs = 500;
const waitMaxMs = 30_000;
const retried = new Set([429, 500, 502, 503]);
const retriedGets = new Set([408, 504]);

/** Milliseconds until the next try; undefined if there is none. `Retry-After` is honoured up to a minute. */
export function retryWaitMs({ method, result, tries, triesMax, nowMs, random }: RetryInput): number | undefined {
  if (tries >= triesMax) return undefined;
  const backoffMs = Math.min(firstWaitMs * 2 ** (tries - 1), waitMaxMs) * (0.5 + random / 2);
  if (result.kind === 'no-answer') return backoffMs;
  const again = retried.has(result.status) || (method === 'GET' && retriedGets.has(result.status));
  return again
    ? Math.max(backoffMs, Math.min(retryAfterMs(result.retryAfter, nowMs) ?? 0, retryAfterMaxMs))
    : undefined;
}

const retryAfterMaxMs = 60_000;
