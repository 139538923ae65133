// One attempt: a callback handed to the merchant once. The ways to do that (HTTP, a handler module) share these types.
//
// Whatever happens in an attempt is a result, which verdict.ts judges. An attempt throws only if it was not made.
import type { JobData } from '../callback/job.ts';

export interface Delivery {
  readonly job: JobData;
  /** The merchant's idempotency key: the same over retries and replays, a different one for each correction. */
  readonly webhookId: string;
  readonly sequence: number;
  /** From 1; replays continue the count. */
  readonly attempt: number;
  /** Whether the gateway has confirmed status and amount; `no` also if it was not asked yet. */
  readonly confirmed: 'yes' | 'no';
}

export type AttemptResult =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** The header's text, not parsed. */
      readonly retryAfter: string | undefined;
      /** The first 1 KB of the merchant's answer. */
      readonly answer: string;
    }
  /** A function returned; it has no status. */
  | { readonly kind: 'returned' }
  /** `error` is one of few values: `timeout`, or a code such as `ECONNREFUSED`. */
  | { readonly kind: 'error'; readonly error: string; readonly answer?: string }
  /** The merchant's function declared further attempts useless. */
  | { readonly kind: 'permanent'; readonly error: string; readonly answer?: string }
  /** Aborted by our shutdown: treated as if it had never been made. */
  | { readonly kind: 'aborted' };

/** `stop` aborts an attempt from outside; each way applies FORWARD_TIMEOUT itself. */
export type Attempt = (delivery: Delivery, stop: AbortSignal) => Promise<AttemptResult>;

export const answerBytesMax = 1_024;
