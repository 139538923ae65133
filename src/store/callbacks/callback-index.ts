// The index: finds callbacks by reference, by time and by state. Read-only.
//
// Promises: a search or a page costs a handful of Redis commands, however many callbacks are stored (each page reads at most
// `pageMax` jobs), and each job's state is consistent. Pages may be short or even empty and still have a `next`. Throws if
// Redis fails; spooled callbacks are found without Redis too.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { findClaimsOf, type FoundClaim } from './find-claims.ts';
import { createCallbackPages, matches, type ListQuery } from './callback-pages.ts';
import { createJobReader, parseData, type JobRecord } from './read-callbacks.ts';
import {
  readableStatus,
  viewOfClaim,
  toRow,
  toSpooled,
  toView,
  type CallbackRow,
  type CallbackView,
  type Conflict,
  type SpooledCallback,
} from './callback-view.ts';

export interface CallbackIndexDeps {
  readonly redis: RedisConnection;
  /** By brand. */
  readonly queues: ReadonlyMap<string, BrandQueue>;
  /** Searches the spools that this process can see. */
  readonly findSpooled?: (gatewayReference: string) => Promise<SpooledCallback[]>;
  readonly listSpooled?: (limit: number, brand: string | undefined) => Promise<CallbackRow[]>;
  /** A state with at most this many jobs is read as a whole. */
  readonly wholeSetMax?: number;
}

/** Everything stored under one reference of one brand. */
export interface Finding {
  /** The success or failure; if there is none yet, the latest of the other statuses. */
  readonly callback: CallbackView;
  /** If the callback is a correction: what it replaced, latest first. */
  readonly corrected: CallbackView[];
  /** Callbacks of other statuses (`reversed`, ...) with the same reference. */
  readonly others: CallbackView[];
}

interface Known {
  readonly claims: readonly FoundClaim[];
  readonly gatewayReference: string;
}

/** A reference with more statuses or conflicts than that is not genuine. */
const kindsMax = 20;
const conflictsMax = 20;
const correctionsMax = 20;

export function createCallbackIndex(deps: CallbackIndexDeps) {
  const { redis, queues, findSpooled = noneSpooled, listSpooled = noneSpooled, wholeSetMax } = deps;
  const readJobs = createJobReader(redis);
  const readPage = createCallbackPages({ redis, queues, wholeSetMax });
  const queuesOf = (brand: string | undefined) =>
    [...queues.values()].filter((queue) => queue.brand === (brand ?? queue.brand));

  /** One finding per brand that knows the reference, in the configuration's order. */
  async function findAll(gatewayReference: string, brand?: string): Promise<Finding[]> {
    const stored = await Promise.all(queuesOf(brand).map((queue) => findStored(queue, gatewayReference))).catch(
      (cause: unknown) => ({ cause }),
    );
    if (!('cause' in stored)) {
      const findings = stored.filter((finding) => finding !== undefined);
      if (findings.length > 0) return findings;
    }
    const spooled = (await findSpooled(gatewayReference)).filter(
      (found) => brand === undefined || found.brand === brand,
    );
    if (spooled.length === 0 && 'cause' in stored) throw stored.cause;
    return spooled.map((found) => ({ callback: toSpooled(found), corrected: [], others: [] }));
  }

  async function find(gatewayReference: string, brand?: string): Promise<Finding | undefined> {
    return (await findAll(gatewayReference, brand))[0];
  }

  async function findStored(queue: BrandQueue, gatewayReference: string): Promise<Finding | undefined> {
    const claims = await findClaimsOf(redis, queue, gatewayReference, kindsMax);
    const records = await readJobs(
      queue,
      claims.map(({ jobId }) => jobId),
      { withLogs: true },
    );
    const replaced = await readJobs(
      queue,
      records.flatMap(({ corrects }) => corrects.slice(0, correctionsMax)),
      { withLogs: true },
    );
    const views = await viewsOf(queue, records, { claims, gatewayReference });
    const latestFirst = views.toSorted((a, b) => b.receivedAt.localeCompare(a.receivedAt));
    const callback = views.find(({ status }) => status === 'success' || status === 'failed') ?? latestFirst[0];
    if (callback === undefined) return undefined;
    return {
      callback,
      corrected: replaced.flatMap((record) => (record.data === undefined ? [] : toView(record, record.data, []))),
      others: latestFirst.filter((view) => view !== callback),
    };
  }

  async function viewsOf(queue: BrandQueue, records: JobRecord[], { claims, gatewayReference }: Known) {
    const views = await Promise.all(
      records.map(async (record, at) => {
        const conflicts = await readConflicts(queue, record);
        return record.data === undefined
          ? viewOfClaim(record, { brand: claims[at]?.identityBrand ?? queue.brand, gatewayReference }, conflicts)
          : toView(record, record.data, conflicts);
      }),
    );
    return views.filter((view) => view !== undefined);
  }

  async function readConflicts(queue: BrandQueue, { conflicts }: JobRecord): Promise<Conflict[]> {
    return Promise.all(
      [...conflicts].slice(0, conflictsMax).map(async ([contradiction, quarantineId]) => {
        const [status = '', amount = ''] = contradiction.split('|');
        const entry = entrySchema.parse(
          await redis.hmget(keysOf.quarantineEntry(queue, quarantineId), 'receivedAt', 'job', 'body'),
        );
        return {
          quarantineId,
          status: readableStatus(status),
          amount: amount === '' || amount.startsWith('~') ? null : amount,
          receivedAt: entry[0] === null ? null : new Date(Number(entry[0])).toISOString(),
          body: (entry[1] === null ? undefined : parseData(entry[1])?.body) ?? entry[2],
        };
      }),
    );
  }

  /** A page, newest first. Throws RangeError with code `BAD_CURSOR` if the cursor is not one of ours. */
  async function list(query: ListQuery): Promise<{ data: CallbackRow[]; next: string | null }> {
    if (query.state === 'spooled') {
      const spooled = await listSpooled(query.limit, query.brand);
      const { merchantReference } = query;
      const isMeant = (row: CallbackRow) => row.merchantReference === (merchantReference ?? row.merchantReference);
      return { data: spooled.filter((row) => isMeant(row) && matches(query, row)), next: null };
    }
    const { found, next } = await readPage(query);
    const rows = new Map<string, CallbackRow>();
    await Promise.all(
      [...Map.groupBy(found, ({ queue }) => queue)].map(async ([queue, entries]) => {
        const ids = entries.map(({ jobId }) => jobId);
        for (const record of await readJobs(queue, ids, { withLogs: false })) {
          const row = toRow(record);
          if (row !== undefined && matches(query, row)) rows.set(queue.base + record.jobId, row);
        }
      }),
    );
    return { data: found.flatMap(({ queue, jobId }) => rows.get(queue.base + jobId) ?? []), next };
  }

  return { find, findAll, list };
}

export type CallbackIndex = ReturnType<typeof createCallbackIndex>;

const nullableText = z.string().nullable();
const entrySchema = z.tuple([nullableText, nullableText, nullableText]);

async function noneSpooled(): Promise<[]> {
  return [];
}
