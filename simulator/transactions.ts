// The gateway's transactions, in memory: what was started, what became of each, and what became of its callbacks.
// References are found per merchant; the list stands in the order of creation, which the records call walks.
import { randomBytes } from 'node:crypto';
import { percentOf } from './decimals.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { failureMessages, type Change } from './outcomes.ts';

export interface Money {
  /** Decimal text, exactly as it is written in JSON. */
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

/** What became of one callback. `skipped`: the breaker was open; `lost`: it left, and never arrived. */
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
  /** How often the merchant asked for this one by a status call. */
  statusCalls: number;
  /** How the gateway misbehaves about this one. */
  misbehaviour: Misbehaviour;
  /** Drawn once: below a probability, that misfortune happens. So a seed's fates do not depend on timing. */
  readonly luck: { readonly loss: number; readonly duplicate: number };
}

export type Transactions = ReturnType<typeof createTransactions>;

export function createTransactions({ random }: { readonly random: () => number }) {
  const ordered: Transaction[] = [];
  const byGatewayReference = new Map<string, Transaction>();
  const byMerchantReference = new Map<string, Transaction>();

  return {
    /** Null when the merchant has used that reference before. */
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
    /** Those that stand after a place in the order of creation, oldest first. */
    *after(place: Place): Generator<Transaction> {
      for (let index = positionAfter(ordered, place); index < ordered.length; index += 1) {
        const transaction = ordered[index];
        if (transaction !== undefined) yield transaction;
      }
    },
    all: (): readonly Transaction[] => ordered,
  };
}

/** A place in the order of creation. */
export interface Place {
  readonly createdAtMs: number;
  readonly sequence: number;
}

/** One that the gateway does not have: whoever forges a callback needs no more. */
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

/** The state that a change leads to. Money moves on everything that is neither pending nor failed. */
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

/** Binary search: the index of the first transaction that stands after the place. */
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

/** 33 characters as in the gateway's example: `b2p`, ten for the time as in a ULID, twenty at random. */
function newReference(createdAtMs: number): string {
  const time = Array.from({ length: 10 }, (_, index) => Math.floor(createdAtMs / 32 ** (9 - index)) % 32);
  const rest = Array.from(randomBytes(20), (byte) => byte % 32);
  return `b2p${[...time, ...rest].map((digit) => referenceAlphabet.charAt(digit)).join('')}`;
}
