// The argument of a merchant's handler, in HANDLER_MODULE and in createCallbackWorker alike.
import { amountCheckOf, type AmountCheck } from '../../callback/amount-check.ts';
import { parseExact } from '../../callback/decimal.ts';
import type { JobData } from '../../callback/job.ts';
import type { Delivery } from '../attempt.ts';
import { withoutByteOrderMark } from '../../callback/json-text.ts';

export interface HandledCallback extends JobData {
  /** The parsed body; every number is its exact decimal text (`100.00` is "100.00"). */
  readonly transaction: Readonly<Record<string, unknown>>;
  /** The idempotency key: the same over retries and replays, a different one for each correction. */
  readonly webhookId: string;
  /** 0; 1, 2, ... for corrections. No order is promised: the highest sequence wins. */
  readonly sequence: number;
  /** From 1. */
  readonly attempt: number;
  /** Whether the gateway has confirmed status and amount; `no` also if it was not asked yet. */
  readonly confirmed: 'yes' | 'no';
  /** Compares the paid amount with the ordered one; undefined if no expectation names an amount. */
  readonly amountCheck?: AmountCheck;
  /** Aborted when the time for this attempt is over, and at shutdown. */
  readonly signal: AbortSignal;
}

/** Returning or resolving means done; a throw is retried; a PermanentError fails the callback at once. */
export type CallbackHandler = (callback: HandledCallback) => unknown;

export function toHandledCallback(delivery: Delivery, signal: AbortSignal): HandledCallback {
  const { job, webhookId, sequence, attempt, confirmed } = delivery;
  const amountCheck = amountCheckOf(job);
  const ids = { webhookId, sequence, attempt, confirmed, ...(amountCheck !== undefined && { amountCheck }) };
  return { ...job, transaction: parseTransaction(job.body), ...ids, signal };
}

function parseTransaction(body: string): Readonly<Record<string, unknown>> {
  const transaction = parseExact(withoutByteOrderMark(body));
  return isObject(transaction) ? transaction : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
