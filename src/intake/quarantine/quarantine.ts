// The quarantine: requests with a genuine key that were refused nevertheless, kept raw for an operator.
//
// Promises: the body's bytes are kept exactly, and the headers without the key; an entry is as durable as a callback (in Redis,
// or in the spool while Redis is down, from where it is drained); bytes and age are bounded, the oldest is dropped first, and
// every drop is logged. Releasing hands the body to intake under its own reference, or under the operator's if it names none.
// Also holds conflicts (written by accept.lua), which are released as corrections.
import { randomBytes } from 'node:crypto';
import { kindOf } from '../../callback/identity.ts';
import { parseCallback, type Callback } from '../../callback/parse-callback.ts';
import { agreedNowMs } from '../../redis/agreed-time.ts';
import { currentQueue } from '../../redis/brand-lineage.ts';
import { brandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import { replacedBy } from '../../store/accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { findClaims } from '../../store/callbacks/find-claims.ts';
import type { JobOrigin, Replaced } from '../../callback/job.ts';
import { createQuarantineStore } from '../../store/quarantine/quarantine-store.ts';
import { within } from '../../async/deadline.ts';
import type { Config } from '../../config/config.ts';
import type { Log } from '../../telemetry/log.ts';
import { afterBudgetMs, type IntakeItem, type IntakeOutcome } from '../intake.ts';
import {
  toEntry,
  toSummary,
  withoutSecrets,
  type QuarantineEntry,
  type QuarantineSummary,
  type RefusedRequest,
} from './quarantine-entry.ts';
import { createFromSpool, type Kept } from './quarantine-from-spool.ts';
import { readQuarantined } from './read-quarantined.ts';
import type { Spool } from '../spool/spool.ts';

export type { QuarantineEntry, QuarantineSummary, RefusedRequest } from './quarantine-entry.ts';

export type ReleaseOutcome =
  | { readonly kind: 'released'; readonly outcome: IntakeOutcome['kind'] }
  | { readonly kind: 'unknown' }
  /** The body names no usable reference and none was given, or the given one contradicts the body's. */
  | { readonly kind: 'bad-reference'; readonly detail: string }
  /** Its bytes are not text, so no job can carry them. */
  | { readonly kind: 'unreadable'; readonly detail: string }
  /** Intake did not store it; the entry stays. */
  | { readonly kind: 'refused'; readonly detail: string };

export interface QuarantineDependencies {
  /** Fails fast (the producer's profile). */
  readonly redis: RedisConnection;
  readonly brands: Iterable<string>;
  readonly config: QueueNaming & Pick<Config, 'ACK_BUDGET' | 'QUARANTINE_RETAIN' | 'QUARANTINE_MAX_BYTES'>;
  /** Without one (the CLI), an entry that Redis does not take is lost. */
  readonly spool?: Pick<Spool, 'append'>;
  readonly accept: (item: IntakeItem) => Promise<IntakeOutcome>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly now?: () => number;
}

export type Quarantine = ReturnType<typeof createQuarantine>;

const trimEveryMs = 60_000;
const pageMax = 200;

export function createQuarantine({
  redis,
  brands,
  config,
  spool,
  accept,
  log,
  now = Date.now,
}: QuarantineDependencies) {
  const { QUARANTINE_RETAIN: retainMs, QUARANTINE_MAX_BYTES: maxBytes, ACK_BUDGET: budgetMs } = config;
  const stores = new Map([...brands].map((brand) => [brand, createQuarantineStore(redis, brandQueue(brand, config))]));
  let trimTimer: NodeJS.Timeout | undefined;

  const { spoolKept, ...handedBack } = createFromSpool({ store, spool, brands: stores.keys(), now });

  const bounds = async () => ({ maxBytes, notBeforeMs: (await agreedNowMs(redis, now())) - retainMs });

  /** Throws if Redis does not take it. */
  async function store(id: string, refused: Kept): Promise<void> {
    // A brand that left the configuration while its entry was spooled still has its keys, or another name.
    const queue = await currentQueue(redis, brandQueue(refused.brand, config));
    const { brand } = queue;
    const target = stores.get(brand) ?? createQuarantineStore(redis, queue);
    const { reason, detail, requestId, receivedAtMs, raw, isJob = false, keptAtMs = receivedAtMs } = refused;
    const headers = JSON.stringify(withoutSecrets(refused.headers));
    const gatewayReference = referenceOf(raw) ?? '';
    const fields = { brand, reason, detail, requestId, receivedAt: receivedAtMs, headers, gatewayReference };
    const content = isJob ? { job: raw } : { body: raw };
    const bytes = raw.length + headers.length + detail.length;
    const dropped = await target.add(
      { id, atMs: keptAtMs, bytes, retainMs, fields: { ...fields, ...content } },
      await bounds(),
    );
    logDropped(brand, dropped);
  }

  function logDropped(brand: string, dropped: number): void {
    if (dropped > 0) log.warn({ event: 'quarantine.dropped', brand, dropped, maxBytes, retainMs });
  }

  async function find(id: string) {
    for (const [brand, target] of stores) {
      const row = await target.get(id);
      if (row !== undefined) return { target, entry: toEntry(brand, row) };
    }
    return undefined;
  }

  async function trim(): Promise<void> {
    for (const [brand, target] of stores) {
      const dropped = await bounds()
        .then((kept) => target.trim(kept))
        .catch(() => 0); // Redis is down; the next round trims
      logDropped(brand, dropped);
    }
  }

  return {
    /**
     * Keeps a refused request in Redis or in the spool; false if neither could. Never throws, and resolves as soon as a callback
     * would that was received at the same time (`performance.now()`).
     */
    async add(refused: RefusedRequest, receivedMs = performance.now()): Promise<boolean> {
      const id = createId();
      const dueMs = receivedMs + budgetMs;
      try {
        await within(dueMs - performance.now(), store(id, refused));
        return true;
      } catch {
        const write = await spoolKept(id, refused, dueMs + afterBudgetMs);
        if (write?.kind === 'stored') return true;
        const { brand, reason, requestId } = refused;
        log.error({ event: 'quarantine.lost', brand, reason, requestId, spool: write?.kind ?? 'none' });
        return false;
      }
    },

    ...handedBack,

    /** Newest first over all brands, without bodies; `next` is the cursor of the next page, null at the end. */
    async list({ limit = 50, cursor }: { limit?: number | undefined; cursor?: string | undefined } = {}) {
      const size = Math.min(Math.max(limit, 1), pageMax);
      const { beforeMs, beforeId } = parseCursor(cursor);
      const pages = await Promise.all(
        [...stores].map(async ([brand, target]) =>
          // Some entries of the cursor's own millisecond may be known already, hence more than a page.
          (await target.ids(beforeMs, size + pageMax)).map((item) => ({ ...item, brand, target })),
        ),
      );
      const rows = pages
        .flat()
        .filter(({ atMs, id }) => atMs < beforeMs || beforeId === undefined || id < beforeId)
        .toSorted((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
      const page = rows.slice(0, size);
      const entries: QuarantineSummary[] = [];
      for (const { id, atMs, brand, target } of page) {
        const fields = await target.summary(id);
        if (fields !== undefined) entries.push(toSummary(brand, { id, atMs, fields }));
      }
      const last = page.at(-1);
      return { entries, next: rows.length > size && last !== undefined ? `${last.atMs}.${last.id}` : null };
    },

    get: async (id: string): Promise<QuarantineEntry | undefined> => (await find(id))?.entry,

    async remove(id: string): Promise<boolean> {
      const found = await find(id);
      return (await found?.target.remove(id)) ?? false;
    },

    async release(id: string, { gatewayReference }: { gatewayReference?: string | undefined } = {}) {
      const found = await find(id);
      if (found === undefined) return { kind: 'unknown' } as const;
      const outcome = await release(found.entry, gatewayReference);
      if (outcome.kind === 'released') await found.target.remove(id);
      log.info({ event: 'quarantine.released', id, brand: found.entry.brand, kind: outcome.kind });
      return outcome;
    },

    trim,

    /** Drops entries that grew too old, even while no new ones come. */
    start(): void {
      trimTimer = setInterval(() => void trim(), trimEveryMs);
      trimTimer.unref();
    },
    stop: () => clearInterval(trimTimer),
  };

  async function release(entry: QuarantineEntry, reference: string | undefined): Promise<ReleaseOutcome> {
    const read = readQuarantined(entry.body, reference);
    if (read.kind !== 'callback') return read;
    const isConflict = entry.reason === 'conflict';
    const origin: JobOrigin = {
      brand: entry.brand,
      source: isConflict ? 'correction' : 'callback',
      receivedAt: entry.receivedAt,
      requestId: entry.requestId,
      replaces: isConflict ? await replacedWith(entry, read.callback) : undefined,
    };
    const outcome = await accept({ callback: read.callback, origin });
    switch (outcome.kind) {
      case 'queued':
      case 'duplicate':
      case 'spooled':
        return { kind: 'released', outcome: outcome.kind };
      case 'conflict':
        return { kind: 'refused', detail: 'It contradicts the callback that came first; that is kept as a conflict.' };
      case 'overtaken':
        return { kind: 'refused', detail: 'It was corrected just now; look at it again.' };
      case 'ignored':
        return { kind: 'refused', detail: `Its status is ${outcome.status}, of which there is nothing to deliver.` };
      case 'unavailable':
        return { kind: 'refused', detail: `Neither Redis nor the spool can take it now (${outcome.reason}).` };
    }
  }

  /** The current claim, since the operator's decision outranks it; if it has expired, the state that the conflict contradicted. */
  async function replacedWith(
    { brand, contradicts }: QuarantineEntry,
    { gatewayReference, status }: Callback,
  ): Promise<Replaced | undefined> {
    const kind = kindOf(status);
    if (kind === undefined) return undefined;
    const [claim] = await findClaims(redis, brandQueue(brand, config), [{ gatewayReference, kind }]);
    return claim === undefined ? contradicts : replacedBy(claim);
  }
}

function referenceOf(raw: Buffer): string | undefined {
  const parsed = parseCallback(raw);
  return parsed.kind === 'callback' ? parsed.callback.gatewayReference : undefined;
}

/**
 * No `.`, which ends the time in a cursor; URL-safe, since it appears in the operator API's paths; and starts with a letter,
 * since commands would read `-...` as an option.
 */
function createId(): string {
  return `q${randomBytes(12).toString('base64url')}`;
}

function parseCursor(cursor: string | undefined): { beforeMs: number; beforeId: string | undefined } {
  const match = /^(\d{1,15})\.(.+)$/.exec(cursor ?? '');
  return match === null
    ? { beforeMs: Number.MAX_SAFE_INTEGER, beforeId: undefined }
    : { beforeMs: Number(match[1]), beforeId: match[2] };
}
