// The public view of a callback, as in `GET /v1/callbacks/{gatewayReference}`, built from what Redis holds. Pure. Lenient
// towards jobs that the merchant's own worker handled: those have none of our attempt records.
import * as z from 'zod';
import { kindOf, terminalKind, webhookIdOf, type Identity } from '../../callback/identity.ts';
import { amountCheckOf, amountChecks } from '../../callback/amount-check.ts';
import { confirmations, confirmedOf, describeHeld } from '../../callback/confirmation.ts';
import { parseExact } from '../../callback/decimal.ts';
import { attemptSchema, attemptsOf, deliveryOf, isSuperseded, toTime } from './job-attempts.ts';
import { isRemoved, type JobRecord } from './read-callbacks.ts';
import type { Claim } from '../accept/claims.ts';
import { isFormerNonce, sources, webhookIdOfJob, type JobData } from '../../callback/job.ts';
import { withoutByteOrderMark } from '../../callback/json-text.ts';

export const callbackStates = [
  'spooled',
  'held',
  'queued',
  'delivering',
  'retrying',
  'delivered',
  'failed',
  'superseded',
  'removed',
] as const;
export type CallbackState = (typeof callbackStates)[number];

const time = z.iso.datetime();

export const conflictSchema = z.object({
  quarantineId: z.string(),
  status: z.string().nullable(),
  amount: z.string().nullable(),
  receivedAt: time.nullable(),
  body: z.string().nullable(),
});

export const callbackRowSchema = z.object({
  brand: z.string(),
  gatewayReference: z
    .string()
    .nullable()
    .describe("Null if the job's data is not a callback or was removed; see jobId."),
  merchantReference: z.string().nullable(),
  status: z.string().nullable(),
  type: z.string().nullable(),
  amount: z.object({ value: z.string(), currency: z.string() }).nullable(),
  state: z.enum(callbackStates),
  receivedAt: time,
  deliveredAt: time.nullable(),
  nextAttemptAt: time.nullable(),
  failedReason: z.string().nullable(),
  heldReason: z.string().nullable().describe('Why it is held; begins with `denied`, `differs` or `amount`.'),
  confirmed: z
    .enum(confirmations)
    .nullable()
    .describe('Whether the gateway has confirmed status and amount; null if only the claim is left.'),
  amountCheck: z
    .enum(amountChecks)
    .nullable()
    .describe('Compares the paid amount with the ordered one; null if no expectation names an amount.'),
  source: z.enum(sources).nullable().describe('Null if only the claim is left, or if the data is not a callback.'),
  sequence: z.int().describe('0; 1, 2, ... for corrections.'),
  duplicates: z.int(),
  webhookId: z.string().nullable(),
  requestId: z.string().nullable(),
  jobId: z.string().nullable().describe("The id in BullMQ's queue; null in the spool."),
  erased: z.boolean(),
});

export const callbackSchema = callbackRowSchema.extend({
  gatewayReference: z.string(),
  webhookId: z.string().nullable().describe('Null if only the claim is left and does not determine it.'),
  attempts: z.array(attemptSchema),
  conflicts: z.array(conflictSchema),
  body: z.string().nullable().describe("The gateway's JSON text, byte for byte; null once removed or erased."),
});

export type Conflict = z.infer<typeof conflictSchema>;
export type CallbackRow = z.infer<typeof callbackRowSchema>;
export type CallbackView = z.infer<typeof callbackSchema>;

/** One line of a list; undefined if the job is gone for good. The reference of a removed one is no longer known. */
export function toRow(record: JobRecord): CallbackRow | undefined {
  if (record.place === 'gone' && !isRemoved(record)) return undefined;
  return record.data === undefined ? rowWithoutData(record) : rowOf(record, record.data);
}

function rowOf(record: JobRecord, data: JobData) {
  const { brand, claim } = record;
  return {
    brand,
    ...fieldsOf(data),
    state: stateOf(record),
    deliveredAt: toTime(deliveredAtMs(record)),
    nextAttemptAt: toTime(record.nextAttemptMs),
    failedReason: failedReasonOf(record),
    ...heldAndConfirmed(record),
    amountCheck: amountCheckOf(data) ?? null,
    duplicates: claim?.duplicates ?? 0,
    jobId: record.jobId,
    erased: record.erased,
  };
}

/** What the job's data alone tells, wherever the job is. */
function fieldsOf(data: JobData) {
  const { gatewayReference, merchantReference, status, type, receivedAt, source, sequence = 0, requestId } = data;
  const derived = { amount: amountOf(data.body), webhookId: webhookIdOfJob(data) };
  return { gatewayReference, merchantReference, status, type, receivedAt, source, sequence, requestId, ...derived };
}

/** The complete view of a callback whose job exists. */
export function toView(record: JobRecord, data: JobData, conflicts: Conflict[]): CallbackView {
  const body = record.erased ? null : data.body;
  return { ...rowOf(record, data), attempts: attemptsOf(record), conflicts, body };
}

/**
 * What the claim alone still shows, after retention (or a worker with removeOnComplete) has removed the job, or when its
 * data cannot be read.
 */
export function viewOfClaim(
  record: JobRecord,
  { brand, gatewayReference }: Pick<Identity, 'brand' | 'gatewayReference'>,
  conflicts: Conflict[],
): CallbackView | undefined {
  const { claim } = record;
  if (claim === undefined) return undefined;
  const row = rowWithoutData(record);
  const webhookId = webhookIdOfClaim({ brand, gatewayReference }, claim);
  return { ...row, gatewayReference, webhookId, attempts: [], conflicts, body: null };
}

/** Null if the claim holds the status or the amount only as a digest. */
function webhookIdOfClaim(
  { brand, gatewayReference }: Pick<Identity, 'brand' | 'gatewayReference'>,
  { nonce, status: claimed, amount, sequence }: Claim,
): string | null {
  const status = claimed === '' ? null : readableStatus(claimed);
  const identity = { brand, gatewayReference, kind: kindOf(status) ?? terminalKind };
  if (status === null && claimed !== '') return null;
  if (isFormerNonce(nonce)) return webhookIdOf(identity, sequence);
  const finalAmount = splitAmount(amount);
  return finalAmount === null && amount !== '' ? null : webhookIdOf(identity, sequence, { status, finalAmount });
}

/** A job that was added by another program has no claim either. */
function rowWithoutData(record: JobRecord): CallbackRow {
  const { brand, jobId } = record;
  const claim = record.claim?.jobId === jobId ? record.claim : undefined;
  return {
    brand,
    gatewayReference: null,
    merchantReference: null,
    status: claim === undefined ? null : readableStatus(claim.status),
    type: null,
    amount: claim === undefined ? null : splitAmount(claim.amount),
    state: stateOf(record),
    receivedAt: toTime(claim?.receivedAtMs ?? record.addedMs) ?? new Date(0).toISOString(),
    deliveredAt: toTime(claim?.deliveredAtMs ?? deliveredAtMs(record)),
    nextAttemptAt: toTime(record.nextAttemptMs),
    failedReason: failedReasonOf(record),
    ...heldAndConfirmed(record),
    amountCheck: null,
    source: null,
    sequence: claim?.sequence ?? 0,
    duplicates: claim?.duplicates ?? 0,
    webhookId: null,
    requestId: null,
    jobId,
    erased: false,
  };
}

function failedReasonOf({ place, failedReason }: JobRecord): string | null {
  return place === 'failed' && failedReason !== '' ? failedReason : null;
}

function heldAndConfirmed({ place, heldReason, data, confirmed }: JobRecord) {
  const isHeld = place === 'held' && heldReason !== undefined;
  return {
    heldReason: isHeld ? describeHeld(heldReason, data) : null,
    confirmed:
      data === undefined
        ? (confirmations.find((known) => known === confirmed) ?? null)
        : confirmedOf(data.source, confirmed),
  };
}

export interface SpooledCallback {
  readonly brand: string;
  readonly data: JobData;
}

export function toSpooled({ brand, data }: SpooledCallback): CallbackView {
  return {
    brand,
    ...fieldsOf(data),
    state: 'spooled',
    deliveredAt: null,
    nextAttemptAt: null,
    failedReason: null,
    heldReason: null,
    confirmed: confirmedOf(data.source, ''),
    amountCheck: null,
    duplicates: 0,
    jobId: null,
    erased: false,
    attempts: [],
    conflicts: [],
    body: data.body,
  };
}

export function deliveredAtMs(record: JobRecord): number | undefined {
  return stateOf(record) === 'delivered' ? (deliveryOf(record)?.at ?? record.finishedOnMs) : undefined;
}

export function stateOf(record: JobRecord): CallbackState {
  switch (record.place) {
    case 'completed':
      return isSuperseded(record) ? 'superseded' : 'delivered';
    case 'failed':
      return 'failed';
    case 'active':
      return 'delivering';
    case 'delayed': // before the first attempt: waits for its confirmation
      return record.isStarted ? 'retrying' : 'queued';
    case 'held':
      return 'held';
    case 'wait':
      return 'queued';
    case 'gone':
      return stateOfGone(record);
  }
}

/** Only what is recorded: `delivered` is never guessed. */
function stateOfGone({ claim, jobId }: JobRecord): CallbackState {
  if (claim !== undefined && claim.jobId !== jobId) return 'superseded';
  return callbackStates.find((state) => state === claim?.state) ?? 'removed';
}

/** A claim holds an unusual status only as a digest (claims.ts). */
export function readableStatus(claimed: string): string | null {
  return claimed === '' || claimed.startsWith('~') ? null : claimed;
}

const exactAmount = z.object({ value: z.string(), currency: z.string() });
const amountFields = z.object({
  finalAmount: exactAmount.nullish().catch(null),
  requestedAmount: exactAmount.nullish().catch(null),
});

/** The final amount, else the requested one, with the gateway's own digits. */
function amountOf(body: string): CallbackRow['amount'] {
  try {
    const fields = amountFields.safeParse(parseExact(withoutByteOrderMark(body))).data;
    return fields?.finalAmount ?? fields?.requestedAmount ?? null;
  } catch {
    return null;
  }
}

export function splitAmount(claimed: string): CallbackRow['amount'] {
  const match = /^(-?[\d.]+)(\D.*)?$/.exec(claimed);
  return match?.[1] === undefined ? null : { value: match[1], currency: match[2] ?? '' };
}
