// What makes two callbacks the same: brand, reference and kind. Everything derived from it is derived here.
//
// `success` and `failed` of one reference are one identity; every other status is an identity of its own; `pending`
// has none. Nothing here is random, so that a callback found again after a lost Redis has the ids that it had.
import { hash } from 'node:crypto';
import type { Amount } from './decimal.ts';

export interface Identity {
  readonly brand: string;
  readonly gatewayReference: string;
  /** `terminal`, or `status:` and the status. */
  readonly kind: string;
}

export const terminalKind = 'terminal';

const identityCharacters = 16;
const webhookIdBytes = 16;

export function isTerminal(status: string | null): boolean {
  return status === 'success' || status === 'failed';
}

/** The kind of a status, or undefined for `pending`, which claims nothing and is not forwarded. */
export function kindOf(status: string | null): string | undefined {
  if (status === 'pending') return undefined;
  return isTerminal(status) ? terminalKind : `status:${status ?? ''}`;
}

/**
 * 16 characters (96 bits) that stand for an identity in keys and job ids. Short, since a remembered reference costs its
 * length; long enough that of a billion remembered at once no two are taken for one (1 in 10^11).
 */
export function digestOf({ brand, gatewayReference, kind }: Identity): string {
  return shortDigest([brand, gatewayReference, kind]);
}

/** The digest of a reference whatever the status; also used for a merchant's reference, told apart by `what`. */
export function referenceDigest(brand: string, what: 'gateway' | 'merchant', reference: string): string {
  return shortDigest([what, brand, reference]);
}

/** What a callback tells of its transaction: of two that differ in it, neither is the other. */
export interface Result {
  readonly status: string | null;
  readonly finalAmount: Amount | null;
}

/**
 * The merchant's idempotency key of a delivery: stable across retries, replays and even a lost Redis; another one for
 * each result and for each correction (`sequence` 1, 2, ...). Without a result, as former versions made it: what they
 * queued keeps its id, and a merchant that has it sees so.
 */
export function webhookIdOf({ brand, gatewayReference, kind }: Identity, sequence: number, result?: Result): string {
  const parts = ['webhook', brand, gatewayReference, kind, ...(result === undefined ? [] : partsOf(result))];
  const input = inputOf([...parts, String(sequence)]);
  return `msg_${hash('sha256', input, 'buffer').toString('base64url', 0, webhookIdBytes)}`;
}

/** Always as many: so no id of a result is one without. */
function partsOf({ status, finalAmount }: Result): string[] {
  return [status ?? '', finalAmount?.value ?? '', finalAmount?.currency ?? ''];
}

/** As text at once: a hash handed over as bytes costs three times as much. */
function shortDigest(parts: readonly string[]): string {
  return hash('sha256', inputOf(parts), 'base64url').slice(0, identityCharacters);
}

// JSON keeps the parts apart, and its escapes keep apart lone surrogates, which UTF-8 would make one character of.
function inputOf(parts: readonly string[]): string {
  return JSON.stringify(parts);
}
