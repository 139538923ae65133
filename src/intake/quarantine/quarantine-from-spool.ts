// What the quarantine spools while Redis is down, and what the drain hands back: refused requests, and callbacks that cannot be
// queued.
//
// Promises: an entry keeps its id, so handing it in twice stores it once; an unreadable one is kept as it is; an entry that
// Redis refuses is distinguished from a Redis that is down. Never throws.
import * as z from 'zod';
import { jobSchema } from '../../callback/job.ts';
import { isScriptError } from '../../redis/script-error.ts';
import { parseJson } from '../../callback/json-text.ts';
import { headersSchema, withoutSecrets, type RefusedRequest } from './quarantine-entry.ts';
import type { Spool, SpoolEntry, SpoolWrite } from '../spool/spool.ts';

/** `refused`: Redis works but refuses one of them. */
export type SubmitQuarantineOutcome = 'stored' | 'later' | 'refused';

/** Why a spooled entry is not queued. */
export type SetAsideReason = 'unreadable' | 'refused';

/** The content to keep: a request's body, or a whole job. */
export type Kept = RefusedRequest & {
  readonly isJob?: boolean | undefined;
  /** If later than the receipt: QUARANTINE_RETAIN counts from here. */
  readonly keptAtMs?: number | undefined;
};

export interface FromSpoolDependencies {
  /** Throws if Redis does not take it. */
  readonly store: (id: string, kept: Kept) => Promise<void>;
  readonly spool: Pick<Spool, 'append'> | undefined;
  readonly brands: Iterable<string>;
  readonly now: () => number;
}

/** The spooled form, beside brand and id. Rows of layout 0 have these fields, too (spool-layout-0.ts). */
const spooledSchema = z.object({
  reason: z.string(),
  detail: z.string(),
  requestId: z.string(),
  receivedAtMs: z.number(),
  headers: headersSchema,
  isJob: z.boolean().optional(),
  keptAtMs: z.number().optional(),
  /** In base64, since it may not be text. */
  body: z.string(),
});

const details: Readonly<Record<SetAsideReason, string>> = {
  unreadable: 'This entry of the spool could not be read as a job.',
  refused: 'Redis refuses this callback, although it accepts others; the log has the error (intake.refused).',
};

export function createFromSpool({ store, spool, brands, now }: FromSpoolDependencies) {
  const known = new Set(brands);
  const [firstBrand] = known;

  function toKept(entry: SpoolEntry, reason: SetAsideReason): Kept {
    const job = jobSchema.safeParse(parseJson(entry.data));
    return {
      brand: known.has(entry.brand) ? entry.brand : (firstBrand ?? entry.brand),
      reason,
      detail: details[reason],
      requestId: job.success ? job.data.requestId : '',
      receivedAtMs: job.success ? Date.parse(job.data.receivedAt) : now(),
      headers: {},
      raw: Buffer.from(entry.data),
      isJob: job.success,
      keptAtMs: now(),
    };
  }

  function readEntry({ brand, nonce, data }: SpoolEntry): Kept & { id: string } {
    const content = parseJson(data);
    const read = spooledSchema.safeParse(content);
    if (read.success) return { ...read.data, id: nonce, brand, raw: Buffer.from(read.data.body, 'base64') };
    const bare = spooledSchema.pick({ body: true }).safeParse(content);
    return {
      id: nonce,
      brand: known.has(brand) ? brand : (firstBrand ?? brand),
      reason: 'unreadable',
      detail: 'Its description in the spool could not be read; this is the body.',
      requestId: '',
      receivedAtMs: now(),
      headers: {},
      raw: bare.success ? Buffer.from(bare.data.body, 'base64') : Buffer.from(data),
    };
  }

  /** Spools it until Redis takes it. */
  async function spoolKept(id: string, kept: Kept, byMs?: number): Promise<SpoolWrite | undefined> {
    return spool?.append(toSpool(id, kept), byMs);
  }

  return {
    spoolKept,

    /** Moves spooled entries into Redis under their ids. */
    async submit(entries: readonly SpoolEntry[]): Promise<SubmitQuarantineOutcome> {
      try {
        for (const entry of entries) {
          const { id, ...kept } = readEntry(entry);
          await store(id, kept);
        }
        return 'stored';
      } catch (error) {
        return isScriptError(error) ? 'refused' : 'later';
      }
    },

    /** Moves a spooled entry that cannot be queued to Redis's quarantine, else back to the spool as a quarantine entry. */
    async setAside(entry: SpoolEntry, reason: SetAsideReason): Promise<'stored' | 'later'> {
      const kept = toKept(entry, reason);
      const id = `spool${entry.nonce}`;
      try {
        await store(id, kept);
        return 'stored';
      } catch {
        return (await spoolKept(id, kept))?.kind === 'stored' ? 'stored' : 'later';
      }
    },
  };
}

function toSpool(id: string, { brand, raw, headers, ...rest }: Kept): SpoolEntry {
  const { reason, detail, requestId, receivedAtMs, isJob, keptAtMs } = rest;
  const described = { reason, detail, requestId, receivedAtMs, headers: withoutSecrets(headers), isJob, keptAtMs };
  const data = JSON.stringify({ ...described, body: raw.toString('base64') });
  return { kind: 'quarantine', brand, nonce: id, data };
}
