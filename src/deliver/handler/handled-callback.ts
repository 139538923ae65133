// What a merchant's handler is called with: in HANDLER_MODULE and in createCallbackWorker alike.
import { parseExact } from '../../callback/decimal.ts';
import type { JobData } from '../../callback/job.ts';
import type { Delivery } from '../attempt.ts';
import { withoutByteOrderMark } from '../../callback/json-text.ts';

export interface HandledCallback extends JobData {
  /** The parsed body; every number is its exact decimal text (`100.00` is "100.00"). */
  readonly transaction: Readonly<Record<string, unknown>>;
  /** The idempotency key: the same over retries and replays, another one for a correction. */
  readonly webhookId: string;
  /** 0; 1, 2, ... for corrections. No order is promised: the highest sequence wins. */
  readonly sequence: number;
  /** From 1. */
  readonly attempt: number;
  /** Aborted when the time for this attempt is over, and at shutdown. */
  readonly signal: AbortSignal;
}

/** Returning (or resolving) is done; throwing is retried; a PermanentError fails at once. */
export type CallbackHandler = (callback: HandledCallback) => unknown;

export function toHandledCallback(delivery: Delivery, signal: AbortSignal): HandledCallback {
  const { job, webhookId, sequence, attempt } = delivery;
  return { ...job, transaction: parseTransaction(job.body), webhookId, sequence, attempt, signal };
}

function parseTransaction(body: string): Readonly<Record<string, unknown>> {
  const transaction = parseExact(withoutByteOrderMark(body));
  return isObject(transaction) ? transaction : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
