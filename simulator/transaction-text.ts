// A transaction in the gateway's format: the same object in callbacks, status calls and records. It is written as text, not
// serialised, to keep the amounts' decimals and the documentation's unusual spacing, which tests every promise of "byte for
// byte".
import { percentOf } from './decimals.ts';
import type { Money, Transaction, TransactionState } from './transactions.ts';

/** The JSON text; with a state other than the transaction's own, the text of a lying callback. */
export function transactionText(transaction: Transaction, state: TransactionState = transaction.state): string {
  const { type, flow, gatewayReference, merchantReference, reconciliationReference, method, country } = transaction;
  const { requestedAmount, createdAtMs, labels } = transaction;
  const reconciliation =
    reconciliationReference === null ? '' : `\n  "reconciliationReference": ${text(reconciliationReference)},`;
  const labelled = labels === null ? '' : `\n  "labels": ${text(labels)},`;
  return `{
  "status": ${text(state.status)}, "type": ${text(type)}, "flow": ${text(flow)},
  "gatewayReference": ${text(gatewayReference)},
  "merchantReference": ${text(merchantReference)},${reconciliation}
  "method": ${text(method)}, "country": ${text(country)},
  "requestedAmount": ${moneyText(requestedAmount)},
  "finalAmount":     ${state.finalAmount === null ? 'null' : moneyText(state.finalAmount)},
  "createdAt":   ${text(timestamp(createdAtMs))},
  "completedAt": ${state.completedAtMs === null ? 'null' : text(timestamp(state.completedAtMs))},
  "completionSource": ${text(state.completionSource)},
  "errorCode": ${text(state.errorCode)}, "errorMessage": ${text(state.errorMessage)},${labelled}
  "providerData": ${providerText(transaction, state)}
}`;
}

/** ISO 8601 in UTC with microseconds, as the gateway writes times. */
export function timestamp(atMs: number): string {
  return new Date(atMs).toISOString().replace('Z', '000Z');
}

function text(value: unknown): string {
  return JSON.stringify(value);
}

function moneyText({ value, currency }: Money): string {
  return `{ "value": ${value}, "currency": ${text(currency)} }`;
}

const providerTitles: Readonly<Record<string, string>> = { mpesa: 'M-Pesa', airtel: 'Airtel Money', mtn: 'MTN MoMo' };
const countryNames = new Intl.DisplayNames(['en'], { type: 'region' });

function providerText({ method, country, requestedAmount }: Transaction, { status, errorCode }: TransactionState) {
  const [name = method] = method.split('-');
  const title = `${providerTitles[name] ?? name} ${countryNames.of(country) ?? country}`;
  const identity = `"name": ${text(name)}, "title": ${text(title)}`;
  if (status === 'pending') return `{ ${identity} }`;
  if (errorCode !== null)
    return `{ ${identity}, "errorCode": "2001", "errorMessage": ${text(`${title}: ${errorCode}`)} }`;
  const fee = moneyText({ value: percentOf(requestedAmount.value, 2n), currency: requestedAmount.currency });
  return `{ ${identity}, "fee": ${fee} }`;
}
