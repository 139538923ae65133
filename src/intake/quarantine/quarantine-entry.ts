// The shape of a quarantined request, and how it is read from Redis.
import * as z from 'zod';
import { parseReplaced } from '../../store/accept/claims.ts';
import { jobSchema, type Replaced } from '../../callback/job.ts';
import type { QuarantineRow } from '../../store/quarantine/quarantine-store.ts';
import { parseJson } from '../../callback/json-text.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface RefusedRequest {
  readonly brand: string;
  readonly reason: string;
  readonly detail: string;
  readonly requestId: string;
  readonly receivedAtMs: number;
  readonly headers: Headers;
  readonly raw: Buffer;
}

export const headersSchema = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

export const quarantineSummarySchema = z.object({
  id: z.string(),
  brand: z.string(),
  reason: z.string().describe('not-json, bad-reference, conflict, ...'),
  detail: z.string(),
  receivedAt: z.iso.datetime(),
  requestId: z.string(),
  headers: headersSchema,
  /** Null if the body names none. */
  gatewayReference: z.string().nullable(),
  bytes: z.int(),
});
export type QuarantineSummary = z.infer<typeof quarantineSummarySchema>;

export interface QuarantineEntry extends QuarantineSummary {
  readonly body: Buffer;
  /** Only on conflicts: the claim that it contradicts, which may have expired since. */
  readonly contradicts?: Replaced | undefined;
}

const secretHeaders = new Set(['x-api-key', 'authorization', 'proxy-authorization', 'cookie']);

export function withoutSecrets(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !secretHeaders.has(name.toLowerCase())));
}

export function toEntry(brand: string, row: QuarantineRow): QuarantineEntry {
  const body = row.fields.get('body') ?? bodyOfJob(row.fields.get('job'));
  const contradicts = parseReplaced(row.fields.get('contradicts')?.toString('utf8') ?? '');
  return { ...toSummary(brand, row), body, contradicts };
}

export function toSummary(brand: string, { id, atMs, fields }: QuarantineRow): QuarantineSummary {
  const text = (name: string) => fields.get(name)?.toString('utf8');
  const job = jobSchema.safeParse(parseJson(text('job') ?? ''));
  const headers = headersSchema.safeParse(parseJson(text('headers') ?? ''));
  return {
    id,
    brand,
    reason: text('reason') ?? 'unknown',
    detail: text('detail') ?? '',
    receivedAt: new Date(Number(text('receivedAt') ?? atMs)).toISOString(),
    requestId: text('requestId') ?? (job.success ? job.data.requestId : ''),
    headers: headers.success ? headers.data : {},
    gatewayReference: text('gatewayReference') || (job.success ? job.data.gatewayReference : null),
    bytes: Number(text('bytes') ?? 0),
  };
}

function bodyOfJob(text: Buffer | undefined): Buffer {
  const job = jobSchema.safeParse(parseJson(text?.toString('utf8') ?? ''));
  return job.success ? Buffer.from(job.data.body) : (text ?? Buffer.alloc(0));
}
