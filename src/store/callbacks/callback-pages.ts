// One page of the index: which jobs, newest first by receipt, and where the next page begins.
//
// Without a state the index's parts are walked. The jobs of a state are all read where there are few of them, and looked
// for in the index's parts where there are many: then a page may hold few, or none, and still have a next one. A cursor
// names the last position (receipt-order.ts), so that neither what arrives meanwhile nor a growing set shifts anything.
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
  /** `mismatch`: any of them but `match`. */
  readonly amountCheck?: AmountCheck | 'mismatch' | undefined;
  readonly confirmed?: Confirmed | undefined;
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
  readonly found: readonly PageEntry[];
  readonly next: string | null;
}

export const callbackPageMax = 200;
/** A state with at most as many jobs is read as a whole, ids only. */
export const wholeSetMaxDefault = 2_000;
/** How many ids of the index a page looks through for those of one state. */
const lookedThrough = 1_000;
/** Of one score in one set; past it the page moves on, so that no call reads without end. */
const tieRoundsMax = 50;
/** No callback is corrected that often unless someone plays. */
const correctionsMax = 20;

const cursorSchema = z.union([
  z.object({ score: z.number(), id: z.string() }),
  z.object({
    /** Brands that have more, and how far each one's hash is scanned. */
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
    if (state === 'spooled') return { found: [], next: null }; // not in Redis; the caller asks the spool
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

  /** What is asked for, from where on. */
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

  /** From the set of ours that holds what is asked for, where there is one; else all are walked, and filtered. */
  async function readSelection(queue: BrandQueue, sought: Sought, limit: number): Promise<Stretch> {
    const { confirmed, amountCheck } = sought.query;
    const key =
      confirmed === 'denied'
        ? keysOf.denied(queue)
        : amountCheck !== undefined && amountCheck !== 'match' && keysOf.mismatched(queue);
    const ids = key === false ? undefined : await wholePlace(key);
    return ids === undefined ? walk(queue, sought, limit) : chooseFrom(await inState(queue, '', ids), sought);
  }

  /** The ids of the places where jobs of the state are, in no order; undefined where those are too many. */
  async function wholeSet(queue: BrandQueue, state: StoredState): Promise<string[] | undefined> {
    if (state === 'removed') return wholeRegister(queue);
    if (state === 'held') return wholePlace(keysOf.held(queue));
    const ids: string[] = [];
    for (const place of placesOf[state]) {
      const found = await wholePlace(`${queue.base}:${place}`, place === 'wait' || place === 'active');
      if (found === undefined) return undefined;
      ids.push(...found);
    }
    return ids;
  }

  async function wholePlace(key: string, isList = false): Promise<string[] | undefined> {
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
    const step = count + 1; // tells whether more follow
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
    // The same stretch of the hashes again, from here on.
    if (end !== undefined)
      return { found: entries, next: toCursor({ scans, after: { score: end.receivedAtMs, id: end.jobId } }) };
    // Only a reference used hundreds of times needs more than one stretch.
    const more = read.filter(({ next }) => next !== '0').map(({ queue, next }): Scan => [queue.brand, next]);
    return { found: entries, next: more.length === 0 ? null : toCursor({ scans: more }) };
  }

  /** A stretch of what was received under a merchant's reference, corrected callbacks included. */
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

  /** What a correction took the place of. */
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

/** What the walked set could not decide by itself. */
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

/** Where BullMQ keeps the jobs of a state. */
const placesOf: Readonly<Record<Exclude<StoredState, 'removed' | 'held'>, readonly string[]>> = {
  queued: ['wait', 'delayed'], // what waits for its confirmation is delayed
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
    throw Object.assign(new RangeError('The cursor is not one that a page gave.', { cause }), { code: 'BAD_CURSOR' });
  }
}
