// What the drain brings to the quarantine: requests that were refused while Redis was out, and spooled entries that can
// not be queued.
//
// Promises: an entry keeps its id, so handing it in twice keeps it once; one that cannot be read is kept as it is; one
// that Redis refuses is told apart from a Redis that is out. Never throws.
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { jobSchema } from '../../callback/job.ts';
import { isScriptError } from '../../redis/script-error.ts';
import { parseJson } from '../../callback/json-text.ts';
import { headersSchema, type RefusedRequest } from './quarantine-entry.ts';
import type { SpooledQuarantineEntry, SpoolEntry } from '../spool/spool.ts';

/** `refused`: Redis works, but does not take one of them. */
export type SubmitQuarantineOutcome = 'stored' | 'later' | 'refused';

/** Why an entry of the spool is not queued. */
export type SetAsideReason = 'unreadable' | 'refused';

/** What is kept: a request's body, or a whole job. */
export type Kept = RefusedRequest & {
  readonly isJob?: boolean | undefined;
  /** Where that is later than its receipt: QUARANTINE_RETAIN counts from here. */
  readonly keptAtMs?: number | undefined;
};

export interface FromSpoolDependencies {
  /** Throws where Redis does not take it. */
  readonly store: (id: string, kept: Kept) => Promise<void>;
  /** Beside the spool; false where that does not work either. */
  readonly storeBesideSpool: (id: string, kept: Kept) => Promise<boolean>;
  readonly brands: Iterable<string>;
  readonly now: () => number;
}

const metaSchema = z.object({
  id: z.string(),
  brand: z.string(),
  reason: z.string(),
  detail: z.string(),
  requestId: z.string(),
  receivedAtMs: z.number(),
  headers: headersSchema,
  isJob: z.boolean().optional(),
  keptAtMs: z.number().optional(),
});

const details: Readonly<Record<SetAsideReason, string>> = {
  unreadable: 'This entry of the spool could not be read as a job.',
  refused: 'Redis refuses this callback, though it takes others; the log has the error (intake.refused).',
};

export function createFromSpool({ store, storeBesideSpool, brands, now }: FromSpoolDependencies) {
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

  function readEntry({ atMs, meta, body }: SpooledQuarantineEntry): Kept & { id: string } {
    const raw = Buffer.from(body);
    const read = metaSchema.safeParse(parseJson(meta));
    if (read.success) return { ...read.data, raw };
    const id = `qspool${createHash('sha256').update(meta).update(raw).digest('base64url').slice(0, 16)}`;
    const detail = 'Its description in the spool could not be read; this is the body.';
    const brand = firstBrand ?? '';
    return { id, brand, reason: 'unreadable', detail, requestId: '', receivedAtMs: atMs, headers: {}, raw };
  }

  return {
    /** What lay beside the spool, into Redis, under the id that it has. */
    async submit(entries: readonly SpooledQuarantineEntry[]): Promise<SubmitQuarantineOutcome> {
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

    /** A spooled entry that cannot be queued: into Redis's quarantine, else into the one beside the spool. */
    async setAside(entry: SpoolEntry, reason: SetAsideReason): Promise<'stored' | 'later'> {
      const kept = toKept(entry, reason);
      const id = `spool${entry.nonce}`;
      try {
        await store(id, kept);
        return 'stored';
      } catch {
        return (await storeBesideSpool(id, kept)) ? 'stored' : 'later';
      }
    },
  };
}
