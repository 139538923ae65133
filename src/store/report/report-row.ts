// One transaction as a report line: the gateway's record, and beside it its state here. Pure.
import * as z from 'zod';
import { addDecimals, canonicalDecimal, negateDecimal, parseExact } from '../../callback/decimal.ts';
import { amountCheckOf, type AmountCheck } from '../../callback/amount-check.ts';
import { confirmedOf, type Confirmed } from '../../callback/confirmation.ts';
import type { Callback } from '../../callback/parse-callback.ts';
import { withoutByteOrderMark } from '../../callback/json-text.ts';
import type { Source } from '../../callback/job.ts';
import type { Claim } from '../accept/claims.ts';
import { deliveredAtMs, stateOf, type CallbackState } from '../callbacks/callback-view.ts';
import type { JobRecord } from '../callbacks/read-callbacks.ts';

/** The gateway's record of a transaction. */
export interface Recorded {
  readonly callback: Callback;
  readonly createdAtMs: number | undefined;
  readonly completedAtMs: number | undefined;
}

/** What is stored of it here. */
export interface Ours {
  readonly state: CallbackState;
  readonly receivedAtMs: number;
  readonly deliveredAtMs: number | undefined;
  /** Undefined if only the claim is left. */
  readonly source: Source | undefined;
  readonly sequence: number;
  readonly confirmed: Confirmed | undefined;
  readonly amountCheck: AmountCheck | undefined;
}

export interface ReportRow {
  readonly brand: string;
  readonly gatewayReference: string;
  readonly merchantReference: string | null;
  readonly createdAtMs: number | undefined;
  readonly completedAtMs: number | undefined;
  readonly type: string;
  readonly method: string;
  readonly status: string;
  readonly currency: string;
  /** The final amount, else the requested one; canonical, '' if the record has neither. */
  readonly gross: string;
  readonly fee: string;
  /** The fee's currency, or the amount's if the fee is in the same one. */
  readonly feeCurrency: string;
  /** Gross minus the fee for incoming money, plus the fee for outgoing money; '' if the fee has another currency. */
  readonly net: string;
  readonly errorCode: string;
  /** 'unknown': created before the claims that are still kept. */
  readonly ours: Ours | 'unknown' | 'not-received';
}

const amount = z.object({ value: z.string(), currency: z.string() }).nullish().catch(null);
const fieldsSchema = z.object({
  method: z.string().nullish().catch(null),
  errorCode: z.string().nullish().catch(null),
  requestedAmount: amount,
  finalAmount: amount,
  providerData: z.object({ fee: amount }).nullish().catch(null),
});

export function toReportRow(
  brand: string,
  { callback, createdAtMs, completedAtMs }: Recorded,
  ours: ReportRow['ours'],
) {
  const { method, errorCode, requestedAmount, finalAmount, providerData } = fieldsOf(callback.body);
  const paid = finalAmount ?? requestedAmount;
  const gross = valueOf(paid);
  const fee = valueOf(providerData?.fee);
  const currency = paid?.currency ?? '';
  const feeCurrency = providerData?.fee?.currency ?? currency;
  const type = callback.type ?? '';
  const row: ReportRow = {
    brand,
    gatewayReference: callback.gatewayReference,
    merchantReference: callback.merchantReference,
    createdAtMs,
    completedAtMs,
    type,
    method: method ?? '',
    status: callback.status ?? '',
    currency,
    gross,
    fee,
    feeCurrency,
    net: gross === '' || feeCurrency !== currency ? '' : netOf(type, gross, fee),
    errorCode: errorCode ?? '',
    ours,
  };
  return row;
}

function netOf(type: string, gross: string, fee: string): string {
  if (fee === '') return gross;
  return addDecimals(gross, type === 'payin' ? negateDecimal(fee) : fee);
}

export function oursOf(claim: Claim, record: JobRecord | undefined): Ours {
  const data = record?.data;
  return {
    state: record === undefined ? 'removed' : stateOf(record),
    receivedAtMs: claim.receivedAtMs,
    deliveredAtMs: (record && deliveredAtMs(record)) ?? claim.deliveredAtMs,
    source: data?.source,
    sequence: claim.sequence,
    confirmed: record && data && confirmedOf(data.source, record.confirmed),
    amountCheck: data && amountCheckOf(data),
  };
}

function fieldsOf(body: string): z.infer<typeof fieldsSchema> {
  const nothing = {};
  try {
    return fieldsSchema.parse(parseExact(withoutByteOrderMark(body)) ?? nothing);
  } catch {
    return fieldsSchema.parse(nothing);
  }
}

function valueOf(found: z.infer<typeof amount>): string {
  return found === null || found === undefined ? '' : (canonicalDecimal(found.value) ?? '');
}
