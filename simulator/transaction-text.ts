// A transaction as the gateway writes it: the one object of its callbacks, its status calls and its records. It is
// written as text, not serialised: amounts keep their decimals, and the spacing is the odd one of the documentation, so
// that whoever promises "byte for byte" is held to it.
import { percentOf } from './decimals.ts';
import type { Money, Transaction, TransactionState } from './transactions.ts';

/** The JSON text; with another state than the transaction's own, what a lying callback would say. */
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
