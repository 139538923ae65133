// The gateway's API for reconciliation: status, records, starting a pay-in. One client per brand.
//
// Each call returns a tagged value, whatever the gateway does (see gateway-call.ts); replies are parsed leniently.
import { isUtf8 } from 'node:buffer';
import type { Brand } from '../../config/brands.ts';
import type { Egress } from '../../http/http-pool.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { createCallPace } from './call-pace.ts';
import { systemClock, type Clock } from '../clock.ts';
import { createGatewayCall, type GatewayFailure, type GatewayLane } from './gateway-call.ts';
import { createRecentCalls } from './recent-calls.ts';
import { parseRecordsPage, type RecordsPage } from './records-page.ts';
import { parseTransaction, transactionBytesMax, type Transaction } from './transaction.ts';

export type StatusAnswer =
  { readonly kind: 'found'; readonly transaction: Transaction } | { readonly kind: 'not-found' } | GatewayFailure;

export type RecordsAnswer =
  | ({ readonly kind: 'page' } & RecordsPage)
  /** Retry with smaller pages. */
  | { readonly kind: 'too-large' }
  /** The records in the page cannot be separated: retry with a smaller part. */
  | { readonly kind: 'damaged' }
  | GatewayFailure;

export interface RecordsWindow {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  readonly pageSize: number;
}

export interface GatewayClientOptions {
  readonly brand: Pick<Brand, 'name' | 'gatewayApiKeys'>;
  readonly baseUrl: string;
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
  /** If keys change while the service runs (gateway-keys.ts); by default the brand's configured ones. */
  readonly apiKeys?: (() => readonly string[]) | undefined;
  readonly egress: Egress;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  readonly timeoutMs?: number | undefined;
  readonly pageBytesMax?: number | undefined;
}

/** The gateway asks for fewer than about 50 status calls a second. */
const callsPerSecond = 40;
const burst = 10;
/** 5,000 transactions, the largest page, of about 3 KB each. */
const pageBytesMaxDefault = 16_777_216;

export type GatewayClient = ReturnType<typeof createGatewayClient>;

export function createGatewayClient(options: GatewayClientOptions) {
  const { brand, baseUrl, log, metrics, clock = systemClock, random = Math.random, timeoutMs } = options;
  const { pageBytesMax = pageBytesMaxDefault } = options;
  let authorized: boolean | undefined;
  const answered = createRecentCalls(clock);
  let provenAtMs = -Infinity;

  const http = createGatewayCall({
    baseUrl,
    egress: options.egress,
    apiKeys: options.apiKeys ?? (() => brand.gatewayApiKeys),
    takeSlot: createCallPace({ callsPerSecond, burst, clock }),
    clock,
    random,
    onAuthorization,
    ...(timeoutMs !== undefined && { timeoutMs }),
  });

  /** A key that was rotated at the gateway but not here is the likeliest total outage: logged as an error, once per change. */
  function onAuthorization(accepted: boolean): void {
    metrics?.gatewayAuthOk.set({ brand: brand.name }, accepted ? 1 : 0);
    if (authorized === accepted) return;
    if (!accepted)
      log.warn({
        event: 'gateway.unauthorized',
        brand: brand.name,
        hint: 'The gateway accepts none of the keys in GATEWAY_API_KEY (or PAYALO_API_KEYS).',
      });
    else if (authorized === false) log.info({ event: 'gateway.authorized', brand: brand.name });
    authorized = accepted;
  }

  async function getTransaction(path: string, lane: GatewayLane, signal: AbortSignal): Promise<StatusAnswer> {
    const reply = await http.call({ method: 'GET', path, replyBytesMax: transactionBytesMax, lane }, signal);
    if (reply.kind === 'refused' && reply.status === 404) return { kind: 'not-found' };
    if (reply.kind === 'too-large') return unreadable;
    if (reply.kind !== 'reply') return reply;
    return proven(toFound(reply.bytes));
  }

  /** Notes an answer that only the gateway can have given. */
  function proven<T extends StatusAnswer | RecordsAnswer>(answer: T): T {
    if (answer.kind === 'found' || answer.kind === 'page') provenAtMs = clock.elapsed();
    return answer;
  }

  async function getPage(query: URLSearchParams, signal: AbortSignal): Promise<RecordsAnswer> {
    const reply = await http.call(
      { method: 'GET', path: `/records?${query.toString()}`, replyBytesMax: pageBytesMax, lane: 'records' },
      signal,
    );
    if (reply.kind !== 'reply') return reply;
    const page = parseRecordsPage(reply.bytes);
    if (page === 'damaged') return { kind: 'damaged' };
    return page === undefined ? unreadable : proven({ kind: 'page', ...page });
  }

  return {
    async status(gatewayReference: string, lane: GatewayLane, signal: AbortSignal): Promise<StatusAnswer> {
      const answer = await getTransaction(`/status/${encodeReference(gatewayReference)}`, lane, signal);
      if (answer.kind !== 'unavailable' && answer.kind !== 'unauthorized') answered.note(gatewayReference);
      // Another transaction's result must not reach the merchant under this reference.
      const strange = answer.kind === 'found' && answer.transaction.callback.gatewayReference !== gatewayReference;
      return strange ? { kind: 'unavailable', reason: 'another-reference' } : answer;
    },

    /** Whether this process asked for its status within this time. */
    answeredWithin: (gatewayReference: string, ms: number): boolean => answered.isWithin(gatewayReference, ms),

    /** Whether a recent answer (a transaction or a page of records) proves that it is the gateway that answers. */
    isProvenWithin: (ms: number): boolean => clock.elapsed() - provenAtMs <= ms,

    statusByMerchantReference: (reference: string, lane: GatewayLane, signal: AbortSignal): Promise<StatusAnswer> =>
      getTransaction(`/status/mref/${encodeReference(reference)}`, lane, signal),

    /** The first page of the transactions created in a window. */
    records({ fromMs, toMs, pageSize }: RecordsWindow, signal: AbortSignal): Promise<RecordsAnswer> {
      const from = new Date(fromMs).toISOString();
      const to = new Date(toMs).toISOString();
      return getPage(new URLSearchParams({ from, to, pageSize: String(pageSize) }), signal);
    },

    /** A following page: sends only the cursor. */
    nextRecords: (page: string, signal: AbortSignal): Promise<RecordsAnswer> =>
      getPage(new URLSearchParams({ page }), signal),

    /** Starts a pay-in. The body's `merchantReference` is the idempotency key, so a retry is safe. */
    async startPayin(method: string, body: string, signal: AbortSignal): Promise<StatusAnswer> {
      const path = `/direct/payin/${encodeURIComponent(method)}`;
      const request = { method: 'POST', path, body, replyBytesMax: transactionBytesMax, lane: 'commands' } as const;
      const reply = await http.call(request, signal);
      if (reply.kind === 'too-large') return unreadable;
      return reply.kind === 'reply' ? toFound(reply.bytes) : reply;
    },

    close: () => http.close(),
  };
}

function toFound(bytes: Buffer): StatusAnswer {
  const transaction = isUtf8(bytes) ? parseTransaction(bytes.toString('utf8')) : undefined;
  return transaction === undefined ? unreadable : { kind: 'found', transaction };
}

/** A lone surrogate cannot be encoded; the gateway will not know the replacement. */
function encodeReference(reference: string): string {
  return encodeURIComponent(reference.toWellFormed());
}

const unreadable = { kind: 'unavailable', reason: 'unreadable-reply' } as const;

/** One short line about a failure, for logs and reports. */
export function describeFailure(
  failure: GatewayFailure | { readonly kind: 'not-found' | 'too-large' | 'damaged' },
): string {
  switch (failure.kind) {
    case 'unauthorized':
    case 'not-found':
      return failure.kind;
    case 'too-large':
      return 'page-too-large';
    case 'damaged':
      return 'unreadable-reply';
    case 'refused':
      return `refused-${failure.status}${failure.code === '' ? '' : `-${failure.code}`}`;
    case 'unavailable':
      return failure.reason;
  }
}
