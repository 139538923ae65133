// The gateway's transactions, in memory: each with its state and the outcomes of its callbacks. References are found per
// merchant; the list is in the order of creation, which the records call walks.
import { randomBytes } from 'node:crypto';
import { percentOf } from './decimals.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { failureMessages, type Change } from './outcomes.ts';

export interface Money {
  /** Decimal text, exactly as in the JSON. */
  readonly value: string;
  readonly currency: string;
}

export interface TransactionState {
  readonly status: string;
  readonly finalAmount: Money | null;
  readonly completedAtMs: number | null;
  readonly completionSource: string | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}

/** The outcome of one callback. `skipped`: the breaker was open; `lost`: it was sent and never arrived. */
export interface CallbackRecord {
  readonly atMs: number;
  readonly said: string;
  readonly outcome: 'delivered' | 'failed' | 'skipped' | 'lost';
  readonly httpStatus: number | null;
  readonly error: string | null;
  readonly tookMs: number;
}

export interface TransactionDraft {
  readonly merchant: string;
  readonly type: 'payin' | 'payout' | 'tax';
  readonly flow: string;
  readonly method: string;
  readonly country: string;
  readonly merchantReference: string;
  readonly reconciliationReference: string | null;
  readonly labels: Readonly<Record<string, string>> | null;
  readonly requestedAmount: Money;
  readonly resultUrl: string | null;
  readonly createdAtMs: number;
}

export interface Transaction extends TransactionDraft {
  readonly sequence: number;
  readonly gatewayReference: string;
  state: TransactionState;
  readonly callbacks: CallbackRecord[];
  /** How often the merchant asked for its status. */
  statusCalls: number;
  /** The gateway's misbehaviour about this one. */
  misbehaviour: Misbehaviour;
  /** Drawn once and compared with each probability, so that a seed's outcomes do not depend on timing. */
  readonly luck: { readonly loss: number; readonly duplicate: number };
}

export type Transactions = ReturnType<typeof createTransactions>;

export function createTransactions({ random }: { readonly random: () => number }) {
  const ordered: Transaction[] = [];
  const byGatewayReference = new Map<string, Transaction>();
  const byMerchantReference = new Map<string, Transaction>();

  return {
    /** Null if the merchant has used that reference before. */
    add(draft: TransactionDraft): Transaction | null {
      const key = merchantKey(draft.merchant, draft.merchantReference);
      if (byMerchantReference.has(key)) return null;
      const transaction: Transaction = {
        ...invented(draft),
        sequence: ordered.length,
        luck: { loss: random(), duplicate: random() },
      };
      ordered.splice(positionAfter(ordered, transaction), 0, transaction);
      byGatewayReference.set(transaction.gatewayReference, transaction);
      byMerchantReference.set(key, transaction);
      return transaction;
    },
    byGatewayReference: (reference: string) => byGatewayReference.get(reference) ?? null,
    byMerchantReference: (merchant: string, reference: string) =>
      byMerchantReference.get(merchantKey(merchant, reference)) ?? null,
    /** Those after a position in the order of creation, oldest first. */
    *after(place: Place): Generator<Transaction> {
      for (let index = positionAfter(ordered, place); index < ordered.length; index += 1) {
        const transaction = ordered[index];
        if (transaction !== undefined) yield transaction;
      }
    },
    all: (): readonly Transaction[] => ordered,
  };
}

/** A position in the order of creation. */
export interface Place {
  readonly createdAtMs: number;
  readonly sequence: number;
}

/** A transaction that the gateway does not have, as a forger would invent it. */
export function invented(draft: TransactionDraft): Transaction {
  return {
    ...draft,
    sequence: -1,
    gatewayReference: newReference(draft.createdAtMs),
    state: pending,
    callbacks: [],
    statusCalls: 0,
    misbehaviour: {},
    luck: { loss: 1, duplicate: 1 },
  };
}

const pending: TransactionState = {
  status: 'pending',
  finalAmount: null,
  completedAtMs: null,
  completionSource: null,
  errorCode: null,
  errorMessage: null,
};

/** The state after a change. Money moves unless it is pending or failed. */
export function stateAfter({ requestedAmount }: Transaction, change: Change, atMs: number): TransactionState {
  if (change.status === 'pending') return pending;
  const { value, currency } = requestedAmount;
  const percentPaid = change.percentPaid ?? 100n;
  const paid = percentPaid === 100n ? value : percentOf(value, percentPaid);
  const errorCode = change.status === 'failed' ? (change.errorCode ?? 'provider_error') : null;
  return {
    status: change.status,
    finalAmount: errorCode === null ? { value: paid, currency } : null,
    completedAtMs: atMs,
    completionSource: 'webhook',
    errorCode,
    errorMessage: errorCode === null ? null : (failureMessages[errorCode] ?? 'The transaction failed.'),
  };
}

function merchantKey(merchant: string, reference: string): string {
  return JSON.stringify([merchant, reference]);
}

/** Binary search: the index of the first transaction after the position. */
function positionAfter(ordered: readonly Transaction[], place: Place): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const candidate = ordered[middle];
    if (candidate !== undefined && isAfter(candidate, place)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function isAfter(a: Place, b: Place): boolean {
  return a.createdAtMs > b.createdAtMs || (a.createdAtMs === b.createdAtMs && a.sequence > b.sequence);
}

const referenceAlphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** 33 characters as in the gateway's example: `b2p`, ten for the time as in a ULID, twenty random ones. */
function newReference(createdAtMs: number): string {
  const time = Array.from({ length: 10 }, (_, index) => Math.floor(createdAtMs / 32 ** (9 - index)) % 32);
  const rest = Array.from(randomBytes(20), (byte) => byte % 32);
  return `b2p${[...time, ...rest].map((digit) => referenceAlphabet.charAt(digit)).join('')}`;
}
