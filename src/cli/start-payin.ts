// `payin`: starts a transaction as in the gateway's quickstart, and registers an expectation for its callback.
//
// The merchant's reference is the idempotency key: if an answer is lost, a second try cannot start a second transaction; the
// gateway refuses it, and the first one is found by that reference.
import { canonicalDecimal } from '../callback/decimal.ts';
import { registerExpectedAmount } from '../store/reconciliation/expected-amounts.ts';
import { registerExpectation } from '../store/reconciliation/expectations.ts';
import type { BrandScope } from '../reconcile/brand-scope.ts';
import type { GatewayFailure } from '../reconcile/gateway/gateway-call.ts';

export interface PayinRequest {
  /** `mpesa-ke` */
  readonly method: string;
  /** Decimal text; sent as written. */
  readonly amount: string;
  readonly currency: string;
  readonly msisdn: string;
  readonly country: string;
  readonly resultUrl: string;
  readonly merchantReference: string;
  readonly payerId: string;
}

export type PayinAnswer =
  | { readonly kind: 'started'; readonly gatewayReference: string; readonly status: string | null }
  | GatewayFailure
  | { readonly kind: 'not-found' };

export async function payin(scope: BrandScope, request: PayinRequest, signal: AbortSignal): Promise<PayinAnswer> {
  const { gateway, redis, queue, clock, limits, holdMismatched } = scope;
  const answer = await gateway.startPayin(request.method, bodyOf(request), signal);
  const started = answer.kind === 'unavailable' ? await findStarted(scope, request, signal) : answer;
  if (started.kind !== 'found') return answer.kind === 'found' ? started : answer;
  const { gatewayReference, status } = started.transaction.callback;
  const amount = { value: canonicalDecimal(request.amount) ?? request.amount, currency: request.currency };
  const registering = { keptMs: limits.dedupTtlMs, holdMismatched };
  await registerExpectedAmount(redis, queue, { gatewayReference, amount }, registering);
  await registerExpectation(redis, queue, { gatewayReference }, clock.now() + limits.graceMs);
  return { kind: 'started', gatewayReference, status };
}

/** The answer was lost, but the transaction may have been started. */
function findStarted({ gateway }: BrandScope, { merchantReference }: PayinRequest, signal: AbortSignal) {
  return gateway.statusByMerchantReference(merchantReference, 'commands', signal);
}

/** Built as text, so that the amount keeps its decimals. */
function bodyOf({ amount, currency, msisdn, country, resultUrl, merchantReference, payerId }: PayinRequest): string {
  if (!/^\d+(\.\d+)?$/.test(amount)) throw new TypeError('An amount is a decimal such as 100.00.');
  const rest = JSON.stringify({ payer: { id: payerId, msisdn }, country, resultUrl, merchantReference });
  return `{"amount":{"value":${amount},"currency":${JSON.stringify(currency)}},${rest.slice(1)}`;
}
