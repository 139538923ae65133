// The job: a callback's copy in the queue, version 1. A public contract: the merchant's own workers read it.
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { Amount } from './decimal.ts';
import { kindOf, webhookIdOf } from './identity.ts';
import type { Callback } from './parse-callback.ts';
import { parseJson } from './json-text.ts';

export const jobName = 'callback';

export const sources = ['callback', 'status', 'records', 'correction'] as const;
export type Source = (typeof sources)[number];

const replacedSchema = z.object({
  sequence: z.int().min(0),
  status: z.string(),
  amount: z.string(),
});

/** The state of the claim that a correction was based on. The correction applies only to that state or an earlier one. */
export type Replaced = z.infer<typeof replacedSchema>;

export const jobSchema = z.object({
  version: z.literal(1).describe('Incremented if a consumer of the previous version could misread the job.'),
  brand: z.string().describe('The brand whose key the callback carried; `default` if there is only one brand.'),
  source: z
    .enum(sources)
    .describe('How the result was received: as a callback, by reconciliation, or as a correction.'),
  gatewayReference: z.string(),
  merchantReference: z.string().nullable(),
  status: z.string().nullable().describe('An open set: success, failed, ...'),
  type: z.string().nullable().describe('An open set: payin, payout, tax, ...'),
  finalAmount: z
    .preprocess(formerAmountText, z.string().nullable().optional())
    .describe(
      'Value and currency, as `100 KES`: exact, without trailing zeros. If present, even as null, it is part of the webhook-id.',
    ),
  receivedAt: z.iso.datetime().describe('Time of receipt, UTC.'),
  requestId: z.string().describe('The id of the request that brought the callback, as in the log.'),
  body: z.string().describe("The gateway's JSON text, byte for byte."),
  sequence: z.int().min(1).optional().describe('Only on corrections: 1, 2, ...; the highest sequence wins.'),
  replaces: replacedSchema.optional().describe('Only on corrections: the earlier result that was found to be wrong.'),
  expectedAmount: z
    .string()
    .optional()
    .describe('What the merchant ordered, if its expectation names an amount. Written like finalAmount.'),
  identityBrand: z
    .string()
    .optional()
    .describe('If the callback was moved to another brand: the brand from which its webhook-id is derived.'),
  traceparent: z.string().optional().describe('W3C trace context, if tracing is on.'),
});

const formerAmount = z.object({ value: z.string(), currency: z.string() });

/** Former versions stored an amount as an object; such jobs and spool entries must stay readable. */
function formerAmountText(amount: unknown): unknown {
  if (typeof amount !== 'object') return amount;
  const former = formerAmount.safeParse(amount);
  return former.success ? amountText(former.data) : amount;
}

export type JobData = z.infer<typeof jobSchema>;

const laterSchema = z.looseObject({ version: z.int().min(2) });

/** Queued by a later release before a rollback to this one: the job waits until that release runs again. */
export function isOfLaterVersion(data: unknown): boolean {
  return laterSchema.safeParse(data).success;
}

/** How long such a job is delayed before it is looked at again. */
export const laterVersionWaitMs = 60_000;

export interface JobOrigin {
  readonly brand: string;
  readonly source: Source;
  readonly receivedAt: string;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** Only on corrections. */
  readonly replaces?: Replaced | undefined;
}

/** `isFormer`: as former versions wrote it, to keep a webhook-id that one of them gave out. */
export function toJobData(callback: Callback, origin: JobOrigin, isFormer = false): JobData {
  const { gatewayReference, merchantReference, status, type, finalAmount, body } = callback;
  const { brand, source, receivedAt, requestId, traceparent, replaces } = origin;
  return {
    version: 1,
    brand,
    source,
    gatewayReference,
    merchantReference,
    status,
    type,
    // As text, which takes less memory: every callback keeps it.
    ...(!isFormer && { finalAmount: finalAmount === null ? null : amountText(finalAmount) }),
    receivedAt,
    requestId,
    body,
    ...(replaces !== undefined && { sequence: replaces.sequence + 1, replaces }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** The brand from which a job's ids are derived. */
export function identityBrandOf({ brand, identityBrand }: Pick<JobData, 'brand' | 'identityBrand'>): string {
  return identityBrand ?? brand;
}

/** The text form of an amount in a job. */
export function amountText({ value, currency }: Amount): string {
  return `${value} ${currency}`;
}

/** Null if the job names no amount or was written by a former version. */
export function amountOfJob({ finalAmount }: Pick<JobData, 'finalAmount'>): Amount | null {
  if (finalAmount === undefined || finalAmount === null) return null;
  const space = finalAmount.indexOf(' ');
  return { value: finalAmount.slice(0, space), currency: finalAmount.slice(space + 1) };
}

/** The webhook-id of a job's callback, whoever delivers it. */
export function webhookIdOfJob(job: JobData): string {
  const { gatewayReference, status, finalAmount, sequence = 0 } = job;
  // `pending` has no kind and is never queued by us; if it were, it would still need an id of its own.
  const kind = kindOf(status) ?? `status:${status ?? ''}`;
  const result = finalAmount === undefined ? undefined : { status, finalAmount: amountOfJob(job) };
  return webhookIdOf({ brand: identityBrandOf(job), gatewayReference, kind }, sequence, result);
}

/** Rewrites a job's JSON text for another brand. Text that is not one of our jobs is returned unchanged. */
export function toBrand(text: string, brand: string, identity?: 'kept'): string {
  const job = jobSchema.loose().safeParse(parseJson(text));
  if (!job.success) return text;
  const { identityBrand: _, ...rest } = job.data;
  const name = identity === 'kept' ? identityBrandOf(job.data) : brand;
  return JSON.stringify({ ...rest, brand, ...(name !== brand && { identityBrand: name }) });
}

/**
 * Tells a retried store of one callback from a second callback: a retry carries the same nonce, and finding that nonce
 * in the claim means stored, not duplicate. It ends the job id. The `.` keeps a job id from being a whole number,
 * which BullMQ refuses.
 */
export function createNonce(isFormer = false): string {
  const length = isFormer ? formerNonceLength - 1 : formerNonceLength;
  if (drawnAt + length > drawn.length) {
    drawn = randomBytes(drawnBytes).toString('base64url');
    drawnAt = 0;
  }
  drawnAt += length;
  return `.${drawn.slice(drawnAt - length, drawnAt)}`;
}

// Asking the system for a few random bytes costs as much as a hash, so they are drawn by the thousand and kept as text.
const drawnBytes = 3_072;
let drawn = '';
let drawnAt = 0;

const formerNonceLength = 8;

/** Former versions, whose webhook-ids did not include the result, used shorter nonces; so a claim shows which it was. */
export function isFormerNonce(nonce: string): boolean {
  return nonce.length <= formerNonceLength;
}

export function jobIdOf(digest: string, nonce: string): string {
  return digest + nonce;
}

/** The claim's digest: the part of a job id before the nonce. */
export function digestOfJob(jobId: string): string {
  return jobId.slice(0, Math.max(jobId.lastIndexOf('.'), 0));
}

/**
 * Options that every BullMQ worker understands, so that a merchant's plain `new Worker(...)` retries when it throws.
 * The built-in worker follows FORWARD_RETRIES instead and never uses these.
 */
export const jobOptions = { attempts: 12, backoff: { type: 'exponential', delay: 5_000 } } as const;
