// What makes two callbacks the same: brand, reference and kind. All ids and digests are derived from it here.
//
// `success` and `failed` of one reference are one identity; every other status is an identity of its own; `pending`
// has none. Nothing here is random, so a callback that is found again after Redis was lost gets the same ids.
import { hash } from 'node:crypto';
import type { Amount } from './decimal.ts';

export interface Identity {
  readonly brand: string;
  readonly gatewayReference: string;
  /** `terminal`, or `status:` followed by the status. */
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
 * 16 characters (96 bits) that represent an identity in keys and job ids. Short, because every remembered reference
 * costs this much memory; long enough that a collision among a billion of them is unlikely (1 in 10^11).
 */
export function digestOf({ brand, gatewayReference, kind }: Identity): string {
  return shortDigest([brand, gatewayReference, kind]);
}

/** The digest of a reference, independent of status. `what` separates the gateway's references from the merchant's. */
export function referenceDigest(brand: string, what: 'gateway' | 'merchant', reference: string): string {
  return shortDigest([what, brand, reference]);
}

/** The outcome that a callback reports. Callbacks with different results get different webhook-ids. */
export interface Result {
  readonly status: string | null;
  readonly finalAmount: Amount | null;
}

/**
 * The merchant's idempotency key: stable across retries, replays and even a lost Redis; different for each result and
 * each correction (`sequence` 1, 2, ...). Without a result it is the id that former versions produced, so that a
 * merchant recognizes what they queued.
 */
export function webhookIdOf({ brand, gatewayReference, kind }: Identity, sequence: number, result?: Result): string {
  const parts = ['webhook', brand, gatewayReference, kind, ...(result === undefined ? [] : partsOf(result))];
  const input = inputOf([...parts, String(sequence)]);
  return `msg_${hash('sha256', input, 'buffer').toString('base64url', 0, webhookIdBytes)}`;
}

/** A fixed number of parts, so that an id with a result never equals one without. */
function partsOf({ status, finalAmount }: Result): string[] {
  return [status ?? '', finalAmount?.value ?? '', finalAmount?.currency ?? ''];
}

/** Asks for text directly: hashing to a buffer first costs three times as much. */
function shortDigest(parts: readonly string[]): string {
  return hash('sha256', inputOf(parts), 'base64url').slice(0, identityCharacters);
}

// JSON keeps the parts apart. It also escapes lone surrogates, which UTF-8 would all turn into one character.
function inputOf(parts: readonly string[]): string {
  return JSON.stringify(parts);
}
