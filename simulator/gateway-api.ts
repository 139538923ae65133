// The gateway's public API as documented: starting transactions, status, records. Every call first passes the outage, the key
// check and (for status calls) the rate limit, in that order; every error is a problem document.
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { DelayedCall } from './load.ts';
import { strike, type OutageSwitch } from './outage.ts';
import { chooseOutcome } from './outcomes.ts';
import { problemText, type Problem } from './problems.ts';
import { recordsPage } from './records.ts';
import type { Scripts } from './scripts.ts';
import { parseStartRequest, type StartRequest } from './start-request.ts';
import { timestamp, transactionText } from './transaction-text.ts';
import { stateAfter, type Transaction, type TransactionDraft, type Transactions } from './transactions.ts';

/** How often each call was made, including refused ones; and how many calls were refused, by kind. */
export interface CallCounts {
  start: number;
  status: number;
  statusByMerchantReference: number;
  records: number;
  struckByOutage: number;
  unauthorized: number;
  limited: number;
}

type Call = 'start' | 'status' | 'statusByMerchantReference' | 'records';

export function noCalls(): CallCounts {
  return {
    start: 0,
    status: 0,
    statusByMerchantReference: 0,
    records: 0,
    struckByOutage: 0,
    unauthorized: 0,
    limited: 0,
  };
}

export interface GatewayApiOptions {
  readonly transactions: Transactions;
  readonly scripts: Scripts;
  readonly outage: OutageSwitch;
  readonly calls: CallCounts;
  readonly now: () => number;
  readonly requireHttps: boolean;
  readonly merchantOf: (key: string) => string | null;
  /** How long an answer of this kind is delayed. */
  readonly delayOf: (call: DelayedCall) => number;
  readonly statusCallAllowed: (merchant: string) => boolean;
  readonly onStarted: (transaction: Transaction) => void;
  /** Where the payer of a web flow is sent. */
  readonly checkoutUrl: (gatewayReference: string) => string;
}

const flows = [
  { path: '/direct/payin/:method', type: 'payin', flow: 'direct' },
  { path: '/direct/payout/:method', type: 'payout', flow: 'direct' },
  { path: '/direct/taxpayout/:method', type: 'tax', flow: 'direct' },
  { path: '/web/payin/:method', type: 'payin', flow: 'web' },
] as const;

type Flow = (typeof flows)[number];

export function registerGatewayApi(app: FastifyInstance, options: GatewayApiOptions): void {
  const { transactions, scripts, outage, calls, now, requireHttps } = options;
  app.addHook('preHandler', async ({ method, url }) => {
    const call = method === 'POST' ? 'start' : /\/records(?:\?|$)/.test(url) ? 'records' : 'status';
    const waitMs = options.delayOf(call);
    if (waitMs > 0) await delay(waitMs, undefined, { ref: false }); // it must not keep the process alive
  });

  /** Admits a call and returns its merchant; null if it was refused or hit by the outage. */
  function admit(request: FastifyRequest, reply: FastifyReply, call: Call): string | null {
    calls[call] += 1;
    if (outage.strikes(reply, call === 'statusByMerchantReference' ? 'status' : call)) {
      calls.struckByOutage += 1;
      return null;
    }
    const merchant = options.merchantOf(String(request.headers['x-api-key'] ?? ''));
    if (merchant === null) {
      calls.unauthorized += 1;
      refuse(reply, { status: 401, errorCode: 'unauthorized', detail: 'X-Api-Key is not a key of this gateway.' });
      return null;
    }
    if ((call === 'status' || call === 'statusByMerchantReference') && !options.statusCallAllowed(merchant)) {
      calls.limited += 1;
      reply.header('Retry-After', 1);
      refuse(reply, { status: 429, errorCode: 'too_many_requests', detail: 'Too many status calls.' });
      return null;
    }
    return merchant;
  }

  for (const flow of flows) {
    app.post<{ Params: { method: string } }>(flow.path, async (request, reply) => {
      const merchant = admit(request, reply, 'start');
      if (merchant === null) return reply;
      const body = typeof request.body === 'string' ? request.body : '';
      const rules = { requireHttps, reconciliationReference: flow.type === 'tax' ? 'required' : 'optional' } as const;
      const parsed = parseStartRequest(body, rules);
      if (parsed.kind === 'refused') return refuse(reply, { status: 400, ...parsed });
      return start(parsed.request, { merchant, flow, method: request.params.method, reply });
    });
  }

  async function start(
    request: StartRequest,
    { merchant, flow, method, reply }: { merchant: string; flow: Flow; method: string; reply: FastifyReply },
  ): Promise<FastifyReply> {
    const transaction = transactions.add(draftOf(request, { merchant, flow, method, createdAtMs: now() }));
    if (transaction === null) {
      const code = 'merchant_transactionid_duplicate';
      const detail = 'This merchantReference has been used before.';
      return refuse(reply, { status: 422, errorCode: 'business_logic_error', code, detail });
    }
    options.onStarted(transaction);
    const outcome = chooseOutcome(request.amount.value, request.payer.msisdn);
    const script = scripts.play(transaction, outcome);
    if (outcome.beforeAnswer) await script;
    const { gatewayReference, merchantReference, reconciliationReference, createdAtMs } = transaction;
    const answer = {
      status: 'pending',
      gatewayReference,
      merchantReference,
      reconciliationReference,
      createdAt: timestamp(createdAtMs),
    };
    const redirect = flow.flow === 'web' ? { redirectUrl: options.checkoutUrl(gatewayReference) } : {};
    return reply.type('application/json').send(JSON.stringify({ ...answer, ...redirect }));
  }

  app.get<{ Params: { reference: string } }>('/status/:reference', async (request, reply) => {
    const merchant = admit(request, reply, 'status');
    if (merchant === null) return reply;
    const transaction = transactions.byGatewayReference(request.params.reference);
    return sendTransaction(reply, transaction?.merchant === merchant ? transaction : null);
  });

  app.get<{ Params: { reference: string } }>('/status/mref/:reference', async (request, reply) => {
    const merchant = admit(request, reply, 'statusByMerchantReference');
    if (merchant === null) return reply;
    return sendTransaction(reply, transactions.byMerchantReference(merchant, request.params.reference));
  });

  app.get('/records', async (request, reply) => {
    const merchant = admit(request, reply, 'records');
    if (merchant === null) return reply;
    const answer = recordsPage(transactions, merchant, request.query);
    if (answer.kind === 'refused') {
      return refuse(reply, { status: 400, errorCode: 'validation_failed', detail: answer.detail });
    }
    const troubled = answer.transactions.find(({ misbehaviour: { record } }) => record && record.kind !== 'bytes');
    const trouble = troubled?.misbehaviour.record;
    if (trouble !== undefined && trouble.kind !== 'bytes') {
      strike(trouble, reply);
      return reply;
    }
    const data = answer.transactions.flatMap((transaction, index) => [
      Buffer.from(index === 0 ? '' : ',\n'),
      recordBytes(transaction),
    ]);
    const pages = JSON.stringify({ next: answer.next });
    const page = Buffer.concat([Buffer.from('{ "data": ['), ...data, Buffer.from(`], "pages": ${pages} }`)]);
    return reply.type('application/json').send(page);
  });
}

/** Answers with a problem document. */
export function refuse(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply.status(problem.status).type('application/problem+json').send(problemText(problem));
}

function sendTransaction(reply: FastifyReply, transaction: Transaction | null): FastifyReply {
  if (transaction === null || transaction.misbehaviour.denied === true) {
    return refuse(reply, { status: 404, errorCode: 'not_found', detail: 'No such transaction.' });
  }
  transaction.statusCalls += 1;
  const { status } = transaction.misbehaviour;
  if (status !== undefined && status.kind !== 'says') {
    strike(status, reply);
    return reply;
  }
  const state = status === undefined ? transaction.state : stateAfter(transaction, status, transaction.createdAtMs);
  return reply.type('application/json').send(transactionText(transaction, state));
}

function recordBytes(transaction: Transaction): Buffer {
  const { record } = transaction.misbehaviour;
  return record?.kind === 'bytes' ? Buffer.from(record.base64, 'base64') : Buffer.from(transactionText(transaction));
}

function draftOf(
  request: StartRequest,
  { merchant, flow, method, createdAtMs }: { merchant: string; flow: Flow; method: string; createdAtMs: number },
): TransactionDraft {
  return {
    merchant,
    type: flow.type,
    flow: flow.flow,
    method,
    country: request.country,
    merchantReference: request.merchantReference,
    reconciliationReference: request.reconciliationReference ?? null,
    labels: request.labels ?? null,
    requestedAmount: request.amount,
    resultUrl: request.resultUrl,
    createdAtMs,
  };
}
