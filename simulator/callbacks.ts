// Sends callbacks as the gateway does: one attempt, 15 seconds, any 2xx is a delivery; anything else is recorded as failed
// and never repeated. While the merchant's breaker is open nothing is attempted. Every outcome is recorded at its
// transaction. Nothing here throws: a callback that cannot be sent is recorded, too.
import { Agent, request } from 'undici';
import type { Breaker } from './breaker.ts';
import { transactionText } from './transaction-text.ts';
import type { CallbackRecord, Transaction, TransactionState } from './transactions.ts';

const connectionsPerMerchantMax = 64;

/** Probabilities of loss and duplication; may change while callbacks are being sent. */
export interface Chances {
  lossProbability: number;
  duplicateProbability: number;
}

export interface CallbackSenderOptions {
  readonly timeoutMs: number;
  readonly chances: Readonly<Chances>;
  readonly now: () => number;
  readonly keyOf: (merchant: string) => string;
  readonly breakerOf: (merchant: string) => Breaker;
  readonly onCallback: (transaction: Transaction, record: CallbackRecord) => void;
}

export interface Sending {
  readonly copies: 1 | 2;
  readonly lost: boolean;
  /** What the callback says, if it differs from the transaction's own state. */
  readonly state: TransactionState;
}

export type CallbackSender = ReturnType<typeof createCallbackSender>;

export function createCallbackSender(options: CallbackSenderOptions) {
  const { timeoutMs, chances, now, keyOf, breakerOf, onCallback } = options;
  const agent = new Agent({ connections: connectionsPerMerchantMax });
  const closing = new AbortController();

  /** Sends a script step's callback, subject to the chances of loss and duplication. */
  async function send(transaction: Transaction, { copies, lost, state }: Sending): Promise<void> {
    if (transaction.resultUrl === null) return;
    const { loss, duplicate } = transaction.luck;
    const arrivals = copies === 2 || duplicate < chances.duplicateProbability ? 2 : 1;
    const body = transactionText(transaction, state);
    if (lost || loss < chances.lossProbability) {
      keep(transaction, { atMs: now(), said: state.status, outcome: 'lost', httpStatus: null, error: null, tookMs: 0 });
      return;
    }
    await Promise.all(Array.from({ length: arrivals }, () => attempt(transaction, { body, said: state.status })));
  }

  /** One attempt, unless the breaker is open. Tests can set another body and key. */
  async function attempt(
    transaction: Transaction,
    { body, said, key = keyOf(transaction.merchant) }: { body: string; said: string; key?: string | undefined },
  ): Promise<CallbackRecord> {
    const atMs = now();
    const breaker = breakerOf(transaction.merchant);
    if (!breaker.pass()) {
      return keep(transaction, { atMs, said, outcome: 'skipped', httpStatus: null, error: null, tookMs: 0 });
    }
    const { httpStatus, error } = await post(transaction.resultUrl ?? '', key, body);
    const delivered = httpStatus !== null && httpStatus >= 200 && httpStatus < 300;
    breaker.record(delivered);
    const outcome = delivered ? 'delivered' : 'failed';
    return keep(transaction, { atMs, said, outcome, httpStatus, error, tookMs: now() - atMs });
  }

  async function post(url: string, key: string, body: string): Promise<Pick<CallbackRecord, 'httpStatus' | 'error'>> {
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), closing.signal]);
    const headers = {
      'Content-Type': 'application/json',
      'X-API-KEY': key,
      'User-Agent': 'payalo-gateway-simulator',
    };
    try {
      const answer = await request(url, { method: 'POST', headers, body, dispatcher: agent, signal });
      answer.body.dump({ limit: 65_536 }).catch(() => undefined); // ignored, as by the gateway
      return { httpStatus: answer.statusCode, error: null };
    } catch (error) {
      return { httpStatus: null, error: nameOf(error) };
    }
  }

  function keep(transaction: Transaction, record: CallbackRecord): CallbackRecord {
    transaction.callbacks.push(record);
    onCallback(transaction, record);
    return record;
  }

  return {
    send,
    attempt,
    async close(): Promise<void> {
      closing.abort();
      await agent.destroy();
    },
  };
}

/** `ECONNREFUSED`, `UND_ERR_SOCKET`, `TimeoutError`, ...: short and stable enough for a test. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
