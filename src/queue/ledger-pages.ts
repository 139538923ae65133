// One page of the ledger: which jobs, in which order, and where the next page begins.
//
// States are walked in BullMQ's own sets (by the time the job got there), everything else in the ledger's parts (by
// the time of receipt). A cursor names the last entry by score and id, so that what arrives meanwhile shifts nothing;
// in BullMQ's lists, which have no scores, it is an offset.
import * as z from 'zod';
import { referenceDigest } from '../callback/identity.ts';
import { keysOf, ledgerPartOf, ledgerParts, type BrandQueue } from './brand-queue.ts';
import { readClaims } from './claims.ts';
import type { RedisConnection } from './connections.ts';
import type { CallbackRow, CallbackState } from './ledger-view.ts';

export interface ListQuery {
  readonly brand?: string | undefined;
  readonly state?: CallbackState | undefined;
  /** The gateway's status. */
  readonly status?: string | undefined;
  readonly merchantReference?: string | undefined;
  /** Of receipt, inclusive. */
  readonly fromMs?: number | undefined;
  /** Of receipt, exclusive. */
  readonly toMs?: number | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface PageEntry {
  readonly queue: BrandQueue;
  readonly jobId: string;
}

interface Page {
  readonly found: PageEntry[];
  readonly next: string | null;
}

export const ledgerPageMax = 200;
/** Of one score in one set; past it the page moves on, so that no call reads without end. */
const tieRoundsMax = 50;

const cursorSchema = z.union([
  z.object({ score: z.number(), id: z.string() }),
  z.object({ offset: z.int().min(0) }),
  z.object({
    scan: z.string(),
    brand: z.string().optional(),
    after: z.object({ score: z.number(), id: z.string() }).optional(),
  }),
]);
type Cursor = z.infer<typeof cursorSchema>;

export function createLedgerPages({
  redis,
  queues,
}: {
  redis: RedisConnection;
  queues: ReadonlyMap<string, BrandQueue>;
}) {
  async function page(query: ListQuery): Promise<Page> {
    const cursor = query.cursor === undefined ? undefined : parseCursor(query.cursor);
    const chosen = [...queues.values()].filter(({ brand }) => brand === (query.brand ?? brand));
    const limit = Math.min(query.limit, ledgerPageMax);
    if (query.merchantReference !== undefined) {
      return byMerchantReference(chosen, query.merchantReference, limit, cursor);
    }
    switch (query.state) {
      case 'queued':
        return fromLists(chosen, 'wait', limit, cursor);
      case 'delivering':
        return fromLists(chosen, 'active', limit, cursor);
      case 'retrying':
        return fromSets(chosen, [bullmqKey('delayed')], { min: -Infinity, max: Infinity }, limit, cursor);
      case 'delivered':
      case 'superseded':
        return fromSets(chosen, [bullmqKey('completed')], fromReceipt(query), limit, cursor);
      case 'failed':
        return fromSets(chosen, [bullmqKey('failed')], fromReceipt(query), limit, cursor);
      case 'spooled': // not in Redis; the caller asks the spool
        return { found: [], next: null };
      case undefined: {
        const parts = query.status === undefined ? ledgerParts : [ledgerPartOf(query.status)];
        const range = { min: query.fromMs ?? -Infinity, max: query.toMs === undefined ? Infinity : query.toMs - 1 };
        const keys = parts.map((part) => (queue: BrandQueue) => keysOf.ledger(queue, part));
        return fromSets(chosen, keys, range, limit, cursor);
      }
    }
  }

  type KeyOf = (queue: BrandQueue) => string;

  async function fromSets(
    chosen: BrandQueue[],
    keys: readonly KeyOf[],
    range: { min: number; max: number },
    limit: number,
    cursor: Cursor | undefined,
  ): Promise<Page> {
    const after = cursor !== undefined && 'score' in cursor ? cursor : undefined;
    const sets = chosen.flatMap((queue) => keys.map((keyOf) => ({ queue, key: keyOf(queue) })));
    const read = await Promise.all(
      sets.map(async ({ queue, key }) =>
        (await readSet(key, range, limit + 1, after)).map((entry) => ({ queue, ...entry })),
      ),
    );
    const merged = read.flat().sort((a, b) => b.score - a.score || (a.jobId < b.jobId ? 1 : -1));
    const found = merged.slice(0, limit);
    const last = found.at(-1);
    const next = last === undefined || merged.length <= limit ? null : toCursor({ score: last.score, id: last.jobId });
    return { found, next };
  }

  /** The next entries of one set, the highest score first; entries of one score in reverse order of their ids. */
  async function readSet(
    key: string,
    { min, max }: { min: number; max: number },
    count: number,
    after: { score: number; id: string } | undefined,
  ): Promise<{ jobId: string; score: number }[]> {
    const entries: { jobId: string; score: number }[] = [];
    const top = Math.min(max, after?.score ?? Infinity);
    for (let round = 0; round < tieRoundsMax; round += 1) {
      const flat = await redis.zrevrangebyscore(
        key,
        scoreText(top),
        scoreText(min),
        'WITHSCORES',
        'LIMIT',
        round * count,
        count,
      );
      for (let at = 0; at + 1 < flat.length; at += 2) {
        const entry = { jobId: flat[at] ?? '', score: Number(flat[at + 1]) };
        if (after === undefined || entry.score < after.score || entry.jobId < after.id) entries.push(entry);
      }
      if (entries.length >= count || flat.length < 2 * count) break;
    }
    return entries.slice(0, count);
  }

  /** Lists have their newest at the head. Brands follow one another. */
  async function fromLists(
    chosen: BrandQueue[],
    place: 'wait' | 'active',
    limit: number,
    cursor: Cursor | undefined,
  ): Promise<Page> {
    const offset = cursor !== undefined && 'offset' in cursor ? cursor.offset : 0;
    const lengths = await Promise.all(chosen.map((queue) => redis.llen(bullmqKey(place)(queue))));
    const found: PageEntry[] = [];
    let skip = offset;
    for (const [index, queue] of chosen.entries()) {
      const length = lengths[index] ?? 0;
      if (skip < length && found.length < limit) {
        const ids = await redis.lrange(bullmqKey(place)(queue), skip, skip + limit - found.length - 1);
        found.push(...ids.map((jobId) => ({ queue, jobId })));
      }
      skip = Math.max(0, skip - length);
    }
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const end = offset + found.length;
    return { found, next: found.length === 0 || end >= total ? null : toCursor({ offset: end }) };
  }

  async function byMerchantReference(
    chosen: BrandQueue[],
    reference: string,
    limit: number,
    cursor: Cursor | undefined,
  ): Promise<Page> {
    const scanning = cursor !== undefined && 'scan' in cursor ? cursor : undefined;
    const read = await Promise.all(
      chosen
        .filter(({ brand }) => brand === (scanning?.brand ?? brand))
        .map(async (queue) => {
          const key = keysOf.merchantReference(queue, referenceDigest(queue.brand, 'merchant', reference));
          const [next, flat] = await redis.hscan(key, scanning?.scan ?? '0', 'COUNT', ledgerPageMax);
          const claims = await readClaims(
            redis,
            queue,
            flat.filter((_, at) => at % 2 === 0),
          );
          return { queue, next, claims: claims.filter((claim) => claim !== undefined) };
        }),
    );
    const after = scanning?.after;
    const left = read
      .flatMap(({ queue, claims }) => claims.map(({ jobId, receivedAtMs }) => ({ queue, jobId, score: receivedAtMs })))
      .filter(
        ({ score, jobId }) => after === undefined || score < after.score || (score === after.score && jobId < after.id),
      )
      .sort((a, b) => b.score - a.score || (a.jobId < b.jobId ? 1 : -1));
    const found = left.slice(0, limit);
    const last = found.at(-1);
    if (last !== undefined && left.length > limit) {
      // The same stretch of the hash again, from here on.
      const { scan = '0', brand } = scanning ?? {};
      return { found, next: toCursor({ scan, brand, after: { score: last.score, id: last.jobId } }) };
    }
    // Only a reference used hundreds of times (in one brand) needs more than one page.
    const more = read.find(({ next }) => next !== '0');
    return { found, next: more === undefined ? null : toCursor({ scan: more.next, brand: more.queue.brand }) };
  }

  return page;
}

/** What the walked set could not decide by itself. */
export function matches(query: ListQuery, row: CallbackRow): boolean {
  const receivedMs = Date.parse(row.receivedAt);
  return (
    (query.state === undefined || row.state === query.state) &&
    (query.status === undefined || row.status === query.status) &&
    (query.fromMs === undefined || receivedMs >= query.fromMs) &&
    (query.toMs === undefined || receivedMs < query.toMs)
  );
}

/** A job ends after its receipt, so what ended before `from` was received before it; `to` is looked at row by row. */
function fromReceipt({ fromMs }: ListQuery): { min: number; max: number } {
  return { min: fromMs ?? -Infinity, max: Infinity };
}

function bullmqKey(place: string) {
  return ({ base }: BrandQueue) => `${base}:${place}`;
}

function scoreText(score: number): string {
  if (score === Infinity) return '+inf';
  return score === -Infinity ? '-inf' : String(score);
}

function toCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function parseCursor(text: string): Cursor {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
  } catch (cause) {
    throw Object.assign(new RangeError('The cursor is not one that a page gave.', { cause }), { code: 'BAD_CURSOR' });
  }
}
