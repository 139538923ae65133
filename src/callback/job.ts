// The job: a callback's copy in the queue, version 1. A public contract: workers of the merchant's own read it.
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

/** What a correction was judged by, as the claim held it. It counts only against that, or against what came earlier. */
export type Replaced = z.infer<typeof replacedSchema>;

export const jobSchema = z.object({
  version: z.literal(1).describe('Raised when a consumer of the former version could misread the job.'),
  brand: z.string().describe('The brand whose key the callback carried; `default` where there is one only.'),
  source: z.enum(sources).describe('How it came: called back, found by reconciliation, or corrected by it.'),
  gatewayReference: z.string(),
  merchantReference: z.string().nullable(),
  status: z.string().nullable().describe('An open set: success, failed, ...'),
  type: z.string().nullable().describe('An open set: payin, payout, tax, ...'),
  finalAmount: z
    .preprocess(formerAmountText, z.string().nullable().optional())
    .describe(
      'Value and currency, as `100 KES`: exact, without needless zeros. If it is here, null or not, the webhook-id is made of it, too.',
    ),
  receivedAt: z.iso.datetime().describe('When it came here, UTC.'),
  requestId: z.string().describe('Stands in the log lines of the request that brought it.'),
  body: z.string().describe("The gateway's JSON text, byte for byte."),
  sequence: z.int().min(1).optional().describe('On corrections: 1, 2, ...; the highest one wins.'),
  replaces: replacedSchema.optional().describe('On corrections: what was known when it was found that it is not so.'),
  expectedAmount: z
    .string()
    .optional()
    .describe('What the merchant ordered, where its expectation says so: as finalAmount is written.'),
  identityBrand: z
    .string()
    .optional()
    .describe('Where another brand took the callback over: the brand of whose name its webhook-id is made.'),
  traceparent: z.string().optional().describe('W3C trace context, where tracing is on.'),
});

const formerAmount = z.object({ value: z.string(), currency: z.string() });

/** Once an amount was an object; what was queued or spooled then is read as ever. */
function formerAmountText(amount: unknown): unknown {
  if (typeof amount !== 'object') return amount;
  const former = formerAmount.safeParse(amount);
  return former.success ? amountText(former.data) : amount;
}

export type JobData = z.infer<typeof jobSchema>;

const laterSchema = z.looseObject({ version: z.int().min(2) });

/** What a later release queued before somebody went back to this one: it waits for that one to come again. */
export function isOfLaterVersion(data: unknown): boolean {
  return laterSchema.safeParse(data).success;
}

/** How long such a job waits before it is looked at again. */
export const laterVersionWaitMs = 60_000;

export interface JobOrigin {
  readonly brand: string;
  readonly source: Source;
  readonly receivedAt: string;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
  /** On corrections. */
  readonly replaces?: Replaced | undefined;
}

/** `isFormer`: as former versions made it, for a webhook-id that one of them gave out. */
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
    // As text, since it is kept with each callback.
    ...(!isFormer && { finalAmount: finalAmount === null ? null : amountText(finalAmount) }),
    receivedAt,
    requestId,
    body,
    ...(replaces !== undefined && { sequence: replaces.sequence + 1, replaces }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** The brand of whose name the ids of a job are made. */
export function identityBrandOf({ brand, identityBrand }: Pick<JobData, 'brand' | 'identityBrand'>): string {
  return identityBrand ?? brand;
}

/** An amount as a job holds it. */
export function amountText({ value, currency }: Amount): string {
  return `${value} ${currency}`;
}

/** Null where it names none, or is of a former version. */
export function amountOfJob({ finalAmount }: Pick<JobData, 'finalAmount'>): Amount | null {
  if (finalAmount === undefined || finalAmount === null) return null;
  const space = finalAmount.indexOf(' ');
  return { value: finalAmount.slice(0, space), currency: finalAmount.slice(space + 1) };
}

/** The id under which a job's callback reaches the merchant, whoever hands it over. */
export function webhookIdOfJob(job: JobData): string {
  const { gatewayReference, status, finalAmount, sequence = 0 } = job;
  // `pending` has no kind and is never queued by us; were it, it would still need an id of its own.
  const kind = kindOf(status) ?? `status:${status ?? ''}`;
  const result = finalAmount === undefined ? undefined : { status, finalAmount: amountOfJob(job) };
  return webhookIdOf({ brand: identityBrandOf(job), gatewayReference, kind }, sequence, result);
}

/** A job's JSON text under another brand; what is no job of ours stays as it is. */
export function toBrand(text: string, brand: string, identity?: 'kept'): string {
  const job = jobSchema.loose().safeParse(parseJson(text));
  if (!job.success) return text;
  const { identityBrand: _, ...rest } = job.data;
  const name = identity === 'kept' ? identityBrandOf(job.data) : brand;
  return JSON.stringify({ ...rest, brand, ...(name !== brand && { identityBrand: name }) });
}

/**
 * What tells two tries to store one callback apart from two callbacks: a retried one carries its own nonce, and
 * finding that in the claim means stored, not duplicate. It ends the job id. The `.` keeps a job id from ever being a
 * whole number, which BullMQ refuses.
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

// Asking the system for a few bytes costs as much as a hash does: so they are drawn by the thousand, as text at once.
const drawnBytes = 3_072;
let drawn = '';
let drawnAt = 0;

const formerNonceLength = 8;

/** Those of former versions, whose webhook-ids did not name the result, were shorter: so a claim tells them, too. */
export function isFormerNonce(nonce: string): boolean {
  return nonce.length <= formerNonceLength;
}

export function jobIdOf(digest: string, nonce: string): string {
  return digest + nonce;
}

/** The claim's digest: what stands before the nonce's dot. */
export function digestOfJob(jobId: string): string {
  return jobId.slice(0, Math.max(jobId.lastIndexOf('.'), 0));
}

/**
 * Options that every BullMQ worker understands, so that a merchant's plain `new Worker(...)` that throws is retried.
 * The built-in worker keeps a schedule of its own (FORWARD_RETRIES) and never uses these.
 */
export const jobOptions = { attempts: 12, backoff: { type: 'exponential', delay: 5_000 } } as const;
