// What tests and the control API can do to the gateway: rotate keys, cause an outage, set chances, add transactions in bulk,
// correct one, send a callback again, and inspect everything.
import { z } from 'zod';
import type { Breaker } from './breaker.ts';
import type { CallbackSender, Chances } from './callbacks.ts';
import { isPlainDecimal, withTwoDecimals } from './decimals.ts';
import { noCalls, type CallCounts } from './gateway-api.ts';
import type { Load } from './load.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import type { Outage, OutageSwitch } from './outage.ts';
import type { Change } from './outcomes.ts';
import type { Scripts } from './scripts.ts';
import { transactionText } from './transaction-text.ts';
import { invented, stateAfter, type CallbackRecord, type Transaction, type Transactions } from './transactions.ts';

const transactionsAtOnceMax = 1_000_000;

export const bulkSchema = z.strictObject({
  count: z.int().min(1).max(transactionsAtOnceMax).default(1),
  /** Of the first transaction; the default is now. */
  createdAt: z.iso.datetime({ offset: true }).optional(),
  /** The time between two transactions. */
  everyMs: z.number().min(0).default(0),
  status: z.string().default('success'),
  errorCode: z.string().optional(),
  type: z.enum(['payin', 'payout', 'tax']).default('payin'),
  method: z.string().default('mpesa-ke'),
  country: z.string().length(2).default('KE'),
  amount: z.string().refine(isPlainDecimal).default('100.00'),
  currency: z.string().default('KES'),
  merchant: z.string().default('default'),
  merchantReferencePrefix: z.string().default('bulk'),
  resultUrl: z.url().optional(),
  /** The time from creation to completion. */
  completedAfterMs: z.number().min(0).default(1000),
  /** Whether their callbacks are sent now; otherwise they never come. */
  callbacks: z.boolean().default(false),
});

export type Bulk = z.input<typeof bulkSchema>;

export const forgerySchema = z.strictObject({
  resultUrl: z.url(),
  status: z.string().default('success'),
  amount: z.string().refine(isPlainDecimal).default('100.00'),
  currency: z.string().default('KES'),
  merchant: z.string().default('default'),
  merchantReference: z.string().default('forged'),
  /** Generated if undefined. */
  gatewayReference: z.string().min(1).optional(),
});

export type Forgery = z.input<typeof forgerySchema>;

export interface GatewayControlsOptions {
  readonly transactions: Transactions;
  readonly sender: CallbackSender;
  readonly scripts: Scripts;
  readonly outage: OutageSwitch;
  readonly load: Load;
  readonly chances: Chances;
  readonly calls: CallCounts;
  readonly keys: Map<string, string[]>;
  readonly breakerOf: (merchant: string) => Breaker;
  readonly now: () => number;
}

export type GatewayControls = ReturnType<typeof createGatewayControls>;

export function createGatewayControls(options: GatewayControlsOptions) {
  const { transactions, sender, scripts, outage, load, chances, calls, keys, breakerOf, now } = options;

  function mustFind(gatewayReference: string): Transaction {
    const transaction = transactions.byGatewayReference(gatewayReference);
    if (transaction === null) throw new Error(`The simulator has no transaction ${gatewayReference}.`);
    return transaction;
  }

  async function sendCallback(
    gatewayReference: string,
    { body, key }: { body?: string | undefined; key?: string | undefined } = {},
  ): Promise<CallbackRecord> {
    const transaction = mustFind(gatewayReference);
    const genuine = transactionText(transaction);
    return sender.attempt(transaction, { body: body ?? genuine, said: transaction.state.status, key });
  }

  /** Changes the gateway's record; with `callback`, also notifies the merchant. */
  async function correct(gatewayReference: string, change: Change, { callback = false } = {}): Promise<Transaction> {
    const transaction = mustFind(gatewayReference);
    transaction.state = { ...stateAfter(transaction, change, now()), completionSource: 'manual' };
    if (callback) await sendCallback(gatewayReference);
    return transaction;
  }

  return {
    /** From now on only these keys are valid; callbacks carry the first. Two keys make a rotation window. */
    setKeys(accepted: readonly string[], merchant = 'default'): void {
      keys.set(merchant, [...accepted]);
    },
    /** Starts an outage of the API; null ends it. */
    setOutage(next: Outage | null): void {
      outage.set(next);
    },
    setChances(next: { lossProbability?: number | undefined; duplicateProbability?: number | undefined }): void {
      chances.lossProbability = next.lossProbability ?? chances.lossProbability;
      chances.duplicateProbability = next.duplicateProbability ?? chances.duplicateProbability;
    },
    /** Adds transactions that nobody started here, in any state and of any age. */
    addTransactions(bulk: Bulk = {}): Transaction[] {
      const { count, createdAt, everyMs, completedAfterMs, callbacks, ...template } = bulkSchema.parse(bulk);
      const firstAtMs = createdAt === undefined ? now() : Date.parse(createdAt);
      const batch = transactions.all().length;
      return Array.from({ length: count }, (_, index) => {
        const createdAtMs = firstAtMs + Math.floor(index * everyMs);
        const transaction = transactions.add({
          merchant: template.merchant,
          type: template.type,
          flow: 'direct',
          method: template.method,
          country: template.country,
          merchantReference: `${template.merchantReferencePrefix}-${batch + index}`,
          reconciliationReference: null,
          labels: null,
          requestedAmount: { value: withTwoDecimals(template.amount), currency: template.currency },
          resultUrl: template.resultUrl ?? null,
          createdAtMs,
        });
        if (transaction === null) throw new Error('The prefix of the merchant references has been used before.');
        const change: Change = { status: template.status, errorCode: template.errorCode };
        transaction.state = stateAfter(transaction, change, createdAtMs + completedAfterMs);
        if (callbacks) void scripts.play(transaction, { steps: [{ after: 1, callback: 'once' }] });
        return transaction;
      });
    },
    correct,
    /** Reverses the payment; its callback is lost unless requested. */
    reverse: (gatewayReference: string, options: { callback?: boolean } = {}) =>
      correct(gatewayReference, { status: 'reversed' }, options),
    /** From now on the gateway does not know it: its status call answers 404, and no list contains it. */
    deny(gatewayReference: string, denied = true): void {
      const transaction = mustFind(gatewayReference);
      transaction.misbehaviour = { ...transaction.misbehaviour, denied };
    },
    /** A callback by a thief of the key: genuine key, nonexistent transaction. */
    async forge(forgery: Forgery) {
      const transaction = inventedBy(forgerySchema.parse(forgery), now());
      const { gatewayReference } = transaction;
      const body = transactionText(transaction);
      const record = await sender.attempt(transaction, { body, said: transaction.state.status });
      return { gatewayReference, body, ...record };
    },
    /** Delays every answer, or every one of a kind. */
    setDelay: load.setDelay,
    /** The limit of status calls per second and merchant; null restores the initial one. */
    setStatusLimit: load.setStatusLimit,
    /** From now on the gateway misbehaves for one transaction; `{}` ends it. */
    misbehave(gatewayReference: string, misbehaviour: Misbehaviour): void {
      mustFind(gatewayReference).misbehaviour = misbehaviour;
    },
    /** Sends a callback now and returns the outcome. By default repeats the genuine one. */
    sendCallback,
    /** In the order of creation. */
    transactions: (): readonly Transaction[] => transactions.all(),
    transaction: (gatewayReference: string): Transaction | null => transactions.byGatewayReference(gatewayReference),
    /** The text that callback, status and records show at the moment. */
    bodyOf: (gatewayReference: string): string => transactionText(mustFind(gatewayReference)),
    calls: (): Readonly<CallCounts> => ({ ...calls }),
    resetCalls(): void {
      Object.assign(calls, noCalls());
    },
    breakerState: (merchant = 'default') => breakerOf(merchant).state(),
    /** Resolves when the outcome of every scheduled callback is known. */
    idle: () => scripts.idle(),
  };
}

function inventedBy(forgery: z.output<typeof forgerySchema>, atMs: number): Transaction {
  const { merchant, merchantReference, amount, currency, resultUrl, status, gatewayReference } = forgery;
  const draft = invented({
    merchant,
    type: 'payin',
    flow: 'direct',
    method: 'mpesa-ke',
    country: 'KE',
    merchantReference,
    reconciliationReference: null,
    labels: null,
    requestedAmount: { value: withTwoDecimals(amount), currency },
    resultUrl,
    createdAtMs: atMs,
  });
  const transaction = { ...draft, gatewayReference: gatewayReference ?? draft.gatewayReference };
  return { ...transaction, state: stateAfter(transaction, { status }, atMs) };
}
