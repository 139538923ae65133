// One attempt: a callback handed to the merchant once. The ways to do it (HTTP, a handler module) share these shapes.
//
// Whatever happens to an attempt is a result, and verdict.ts decides what it means. One throws only where none was made.
import type { JobData } from '../callback/job.ts';

export interface Delivery {
  readonly job: JobData;
  /** The merchant's idempotency key: the same over retries and replays, another one for a correction. */
  readonly webhookId: string;
  readonly sequence: number;
  /** From 1; goes on counting over replays. */
  readonly attempt: number;
  /** Whether the gateway has confirmed status and amount; `no` also where it was not asked yet. */
  readonly confirmed: 'yes' | 'no';
}

export type AttemptResult =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** The header's text, unread. */
      readonly retryAfter: string | undefined;
      /** The first 1 KB of what the merchant said. */
      readonly answer: string;
    }
  /** Done by a function, which has no status. */
  | { readonly kind: 'returned' }
  /** `error` is a class with few values: `timeout`, or a code such as `ECONNREFUSED`. */
  | { readonly kind: 'error'; readonly error: string; readonly answer?: string }
  /** The merchant's function said that trying again is useless. */
  | { readonly kind: 'permanent'; readonly error: string; readonly answer?: string }
  /** Broken off by us, at shutdown: nobody's fault, so it is as if it had never been made. */
  | { readonly kind: 'aborted' };

/** `stop` ends an attempt from outside; each way keeps FORWARD_TIMEOUT itself. */
export type Attempt = (delivery: Delivery, stop: AbortSignal) => Promise<AttemptResult>;

export const answerBytesMax = 1_024;
