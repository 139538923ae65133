// Selects the jobs of one page, newest first by receipt, and the position of the next page.
//
// Without a state the index is walked. If a state has few jobs, all of them are read; if it has many, the index is searched for
// them, and a page may hold few or none and still have a next one. A cursor names the last position (receipt-order.ts), so
// neither new callbacks nor a growing set shift anything.
import { isMismatch, type AmountCheck } from '../../callback/amount-check.ts';
import type { Confirmed } from '../../callback/confirmation.ts';
import * as z from 'zod';
import { referenceDigest } from '../../callback/identity.ts';
import { keysOf, indexPartOf, indexParts, type BrandQueue, type IndexPart } from '../../redis/brand-queue.ts';
import { readClaims } from '../accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { createInState, toEntries } from './in-state.ts';
import type { CallbackRow, CallbackState } from './callback-view.ts';
import { countRemoved } from './removed-jobs.ts';
import { isAfter, merge, type Entry, type Position, type Stretch } from './receipt-order.ts';

export interface ListQuery {
  readonly brand?: string | undefined;
  readonly state?: CallbackState | undefined;
  /** The gateway's status. */
  readonly status?: string | undefined;
  /** `mismatch`: all but `match`. */
  readonly amountCheck?: AmountCheck | 'mismatch' | undefined;
  readonly confirmed?: Confirmed | undefined;
  readonly merchantReference?: string | undefined;
  /** Receipt time, inclusive. */
  readonly fromMs?: number | undefined;
  /** Receipt time, exclusive. */
  readonly toMs?: number | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface PageEntry {
  readonly queue: BrandQueue;
  readonly jobId: string;
}

interface Page {
  readonly found: readonly PageEntry[];
  readonly next: string | null;
}

export const callbackPageMax = 200;
/** A state with at most this many jobs is read as a whole, ids only. */
export const wholeSetMaxDefault = 2_000;
/** How many index entries a page searches for the jobs of one state. */
const lookedThrough = 1_000;
/** Rounds over entries with the same score; afterwards the page moves on, so that no call reads without end. */
const tieRoundsMax = 50;
/** A callback with more corrections than that is not genuine. */
const correctionsMax = 20;

const cursorSchema = z.union([
  z.object({ score: z.number(), id: z.string() }),
  z.object({
    /** Brands with more entries, and the position of each one's hash scan. */
    scans: z.array(z.tuple([z.string(), z.string().regex(/^\d{1,20}$/)])),
    after: z.object({ score: z.number(), id: z.string() }).optional(),
  }),
]);
type Cursor = z.infer<typeof cursorSchema>;
type Scan = [brand: string, scan: string];

export interface CallbackPagesDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly wholeSetMax?: number | undefined;
}

export function createCallbackPages({ redis, queues, wholeSetMax = wholeSetMaxDefault }: CallbackPagesDeps) {
  const inState = createInState(redis);

  async function page(query: ListQuery): Promise<Page> {
    const cursor = query.cursor === undefined ? undefined : parseCursor(query.cursor);
    const chosen = [...queues.values()].filter(({ brand }) => brand === (query.brand ?? brand));
    const limit = Math.min(query.limit, callbackPageMax);
    if (query.merchantReference !== undefined) {
      return byMerchantReference(chosen, query.merchantReference, limit, cursor);
    }
    const { state } = query;
    if (state === 'spooled') return { found: [], next: null }; // not in Redis; the caller searches the spool
    const sought = { query, after: positionOf(cursor) };
    const read = await Promise.all(
      chosen.map((queue) => {
        if (state !== undefined) return readState(queue, state, sought);
        return readSelection(queue, sought, limit);
      }),
    );
    const { entries, end } = merge(read, limit);
    return { found: entries, next: end === undefined ? null : toCursor({ score: end.receivedAtMs, id: end.jobId }) };
  }

  /** The selection, and where it starts. */
  interface Sought {
    readonly query: ListQuery;
    readonly after: Position | undefined;
  }

  async function readState(queue: BrandQueue, state: StoredState, sought: Sought): Promise<Stretch> {
    const ids = await wholeSet(queue, state);
    if (ids !== undefined) return chooseFrom(await inState(queue, state, ids), sought);
    const { entries, end } = await walk(queue, sought, lookedThrough);
    const walked = entries.map(({ jobId }) => jobId);
    return { entries: await inState(queue, state, walked), end };
  }

  function chooseFrom(entries: readonly Entry[], { query, after }: Sought): Stretch {
    return { entries: entries.filter((entry) => isAfter(entry, after) && isWithin(query, entry.receivedAtMs)) };
  }

  /** Reads the sorted set that holds the selection, if there is one; otherwise walks and filters the index. */
  async function readSelection(queue: BrandQueue, sought: Sought, limit: number): Promise<Stretch> {
    const { confirmed, amountCheck } = sought.query;
    const key =
      confirmed === 'denied'
        ? keysOf.denied(queue)
        : amountCheck !== undefined && amountCheck !== 'match' && keysOf.mismatched(queue);
    const ids = key === false ? undefined : await allIdsIn(key);
    return ids === undefined ? walk(queue, sought, limit) : chooseFrom(await inState(queue, '', ids), sought);
  }

  /** The ids of the jobs in a state, unordered; undefined if there are too many. */
  async function wholeSet(queue: BrandQueue, state: StoredState): Promise<string[] | undefined> {
    if (state === 'removed') return wholeRegister(queue);
    if (state === 'held') return allIdsIn(keysOf.held(queue));
    const ids: string[] = [];
    for (const place of placesOf[state]) {
      const found = await allIdsIn(`${queue.base}:${place}`, place === 'wait' || place === 'active');
      if (found === undefined) return undefined;
      ids.push(...found);
    }
    return ids;
  }

  async function allIdsIn(key: string, isList = false): Promise<string[] | undefined> {
    const size = await (isList ? redis.llen(key) : redis.zcard(key));
    if (size > wholeSetMax) return undefined;
    return isList ? redis.lrange(key, 0, wholeSetMax) : redis.zrange(key, '0', String(wholeSetMax));
  }

  async function wholeRegister(queue: BrandQueue): Promise<string[] | undefined> {
    const count = await countRemoved(redis, queue);
    return count > wholeSetMax ? undefined : redis.zrange(keysOf.removed(queue), '0', String(wholeSetMax));
  }

  async function walk(queue: BrandQueue, { query, after }: Sought, count: number): Promise<Stretch> {
    const parts = query.status === undefined ? indexParts : [indexPartOf(query.status)];
    return merge(await Promise.all(parts.map((part) => walkPart(queue, part, { query, after }, count))), count);
  }

  async function walkPart(
    queue: BrandQueue,
    part: IndexPart,
    { query, after }: Sought,
    count: number,
  ): Promise<Stretch> {
    const top = Math.min(query.toMs === undefined ? Infinity : query.toMs - 1, after?.receivedAtMs ?? Infinity);
    const step = count + 1; // one more shows whether entries follow
    const entries = [];
    for (let round = 0; round < tieRoundsMax; round += 1) {
      const flat = await redis.zrevrangebyscore(
        keysOf.index(queue, part),
        scoreText(top),
        scoreText(query.fromMs ?? -Infinity),
        'WITHSCORES',
        'LIMIT',
        round * step,
        step,
      );
      entries.push(...toEntries(queue, flat).filter((entry) => isAfter(entry, after)));
      if (entries.length > count) return { entries: entries.slice(0, count), end: entries[count - 1] };
      if (flat.length < 2 * step) return { entries };
    }
    return { entries, end: entries.at(-1) ?? { receivedAtMs: top, jobId: '' } };
  }

  async function byMerchantReference(
    chosen: BrandQueue[],
    reference: string,
    limit: number,
    cursor: Cursor | undefined,
  ): Promise<Page> {
    const { scans, after } = scanOf(cursor) ?? {
      scans: chosen.map(({ brand }): Scan => [brand, '0']),
      after: undefined,
    };
    const scanFrom = new Map(scans);
    const read = await Promise.all(
      chosen.flatMap((queue) => {
        const scan = scanFrom.get(queue.brand);
        return scan === undefined ? [] : scanUses(queue, reference, scan);
      }),
    );
    const position = after === undefined ? undefined : { receivedAtMs: after.score, jobId: after.id };
    const left = read.flatMap(({ entries }) => entries.filter((entry) => isAfter(entry, position)));
    const { entries, end } = merge([{ entries: left }], limit);
    // The next page scans the same stretch of the hashes again.
    if (end !== undefined)
      return { found: entries, next: toCursor({ scans, after: { score: end.receivedAtMs, id: end.jobId } }) };
    // Only a reference used hundreds of times needs a second stretch.
    const more = read.filter(({ next }) => next !== '0').map(({ queue, next }): Scan => [queue.brand, next]);
    return { found: entries, next: more.length === 0 ? null : toCursor({ scans: more }) };
  }

  /** A stretch of the callbacks under a merchant's reference, including corrected ones. */
  async function scanUses(queue: BrandQueue, reference: string, scan: string) {
    const key = keysOf.merchantReference(queue, referenceDigest(queue.brand, 'merchant', reference));
    const [next, flat] = await redis.hscan(key, scan, 'COUNT', callbackPageMax);
    const digests = flat.filter((_, at) => at % 2 === 0);
    const claims = (await readClaims(redis, queue, digests)).filter((claim) => claim !== undefined);
    const corrections = claims.filter(({ sequence }) => sequence > 0);
    const replaced = await Promise.all(corrections.map(({ jobId }) => readReplaced(queue, jobId)));
    const standing = claims.map(({ jobId, receivedAtMs }) => ({ queue, jobId, receivedAtMs }));
    return { queue, next, entries: [...standing, ...replaced.flat()] };
  }

  /** The callbacks that a correction replaced. */
  async function readReplaced(queue: BrandQueue, jobId: string): Promise<Entry[]> {
    const corrects = (await redis.hget(keysOf.job(queue, jobId), 'corrects')) ?? '';
    const ids = corrects.split(',').slice(0, correctionsMax);
    const times = await Promise.all(ids.map((id) => redis.hget(keysOf.job(queue, id), 'timestamp')));
    return ids.flatMap((id, at) => {
      const time = times[at] ?? null;
      return time === null ? [] : { queue, jobId: id, receivedAtMs: Number(time) };
    });
  }

  return page;
}

/** The conditions that the selection could not apply itself. */
export function matches(query: ListQuery, row: CallbackRow): boolean {
  const receivedMs = Date.parse(row.receivedAt);
  return (
    (query.state === undefined || row.state === query.state) &&
    (query.status === undefined || row.status === query.status) &&
    (query.amountCheck === undefined || isChecked(row.amountCheck, query.amountCheck)) &&
    (query.confirmed === undefined || row.confirmed === query.confirmed) &&
    isWithin(query, receivedMs)
  );
}

function isChecked(check: AmountCheck | null, sought: AmountCheck | 'mismatch'): boolean {
  return sought === 'mismatch' ? isMismatch(check ?? undefined) : check === sought;
}

function isWithin({ fromMs = -Infinity, toMs = Infinity }: ListQuery, receivedAtMs: number): boolean {
  return receivedAtMs >= fromMs && receivedAtMs < toMs;
}

type StoredState = Exclude<CallbackState, 'spooled'>;

/** The places where BullMQ keeps the jobs of a state. */
const placesOf: Readonly<Record<Exclude<StoredState, 'removed' | 'held'>, readonly string[]>> = {
  queued: ['wait', 'delayed'], // a callback that waits for its confirmation is delayed
  delivering: ['active'],
  retrying: ['delayed'],
  delivered: ['completed'],
  superseded: ['completed'],
  failed: ['failed'],
};

function scoreText(score: number): string {
  if (score === Infinity) return '+inf';
  return score === -Infinity ? '-inf' : String(score);
}

function positionOf(cursor: Cursor | undefined): Position | undefined {
  if (cursor === undefined || !('score' in cursor)) return undefined;
  return { receivedAtMs: cursor.score, jobId: cursor.id };
}

function scanOf(cursor: Cursor | undefined) {
  return cursor !== undefined && 'scans' in cursor ? cursor : undefined;
}

function toCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function parseCursor(text: string): Cursor {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
  } catch (cause) {
    throw Object.assign(new RangeError('The cursor does not come from a page.', { cause }), { code: 'BAD_CURSOR' });
  }
}
