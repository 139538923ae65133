// Intake: every callback comes in here, whether the gateway sent it or reconciliation found it.
//
// Every outcome of `accept` but `ignored` and `unavailable` means that the callback is stored durably: in Redis or, if Redis
// cannot take it in time, in the spool. One deadline counts from the callback's receipt: ACK_BUDGET for Redis, then what is left
// of the two seconds that the contract adds. It never throws.
import { kindOf } from '../callback/identity.ts';
import { parseCallbackText, type Callback } from '../callback/parse-callback.ts';
import type { AcceptItem } from '../store/accept/accept-batch.ts';
import { amountOfJob, createNonce, isFormerNonce, jobSchema, toJobData, type JobOrigin } from '../callback/job.ts';
import { within } from '../async/deadline.ts';
import type { Log } from '../telemetry/log.ts';
import type { Store } from './redis-store.ts';
import type { SpoolDoor, SpoolEntry } from './spool/spool-entry.ts';
import { createBatcher, type BatchOutcome, type Batcher, type Looked, type ResubmitOutcome } from './batcher.ts';
import { parseJson } from '../callback/json-text.ts';

export interface IntakeItem {
  readonly callback: Callback;
  readonly origin: JobOrigin;
  /** The nonce of the removed job that this one replaces. */
  readonly insteadOf?: string | undefined;
}

export type IntakeOutcome =
  | { readonly kind: 'queued' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'conflict' }
  /** A correction of a state that has changed since; it has no effect. */
  | { readonly kind: 'overtaken' }
  /** `pending` claims nothing and is not forwarded. */
  | { readonly kind: 'ignored'; readonly status: string }
  | { readonly kind: 'spooled' }
  /** Neither Redis nor the spool could take it. */
  | { readonly kind: 'unavailable'; readonly reason: string };

/** A callback as the spool holds it. */
type Resubmitted = Omit<SpoolEntry, 'kind'>;

export type Intake = ReturnType<typeof createIntake>;

export interface IntakeSettings {
  /** ACK_BUDGET: the longest that a callback waits for Redis. */
  readonly budgetMs: number;
  /** SPOOL_MAX_BYTES. */
  readonly spoolBytesMax: number;
}

export interface IntakeDependencies {
  /** Creates the store for a brand. Called once per brand. */
  readonly storeFor: (brand: string) => Store;
  readonly spool: SpoolDoor;
  readonly settings: IntakeSettings;
  readonly log: Log;
  /** Monotonic: a wall clock that jumps would delay callbacks, or hold the breaker open, for as long. */
  readonly now?: () => number;
}

/** Part of the 2 s beyond ACK_BUDGET; the rest is for sending the answer on a busy machine. */
export const afterBudgetMs = 1_700;

export function createIntake({ storeFor, spool, settings, log, now = monotonicMs }: IntakeDependencies) {
  const batchers = new Map<string, Batcher>();

  function batcherOf(brand: string): Batcher {
    const known = batchers.get(brand);
    if (known !== undefined) return known;
    const made = createBatcher({
      store: storeFor(brand),
      spool,
      budgetMs: settings.budgetMs,
      log: log.child({ brand }),
      now,
    });
    batchers.set(brand, made);
    return made;
  }

  /** Redis once more, if the spool failed: waits for a call in flight, else tries again in the time left. */
  async function lastChance(item: AcceptItem, brand: string, stored: Out, byMs: number): Promise<BatchOutcome> {
    const leftMs = byMs - now();
    if (stored.late !== undefined) return within(leftMs, stored.late).catch(() => stored);
    return leftMs <= 0 ? stored : batcherOf(brand).add(item, byMs, { insists: true });
  }

  return {
    /** @param receivedMs when the callback's last byte arrived, by `performance.now()` */
    async accept({ callback, origin, insteadOf }: IntakeItem, receivedMs = now()): Promise<IntakeOutcome> {
      if (kindOf(callback.status) === undefined) return { kind: 'ignored', status: callback.status ?? '' };
      // The replaced job of a former version may have reached the merchant under that version's webhook-id.
      const isFormer = insteadOf !== undefined && isFormerNonce(insteadOf);
      const data = JSON.stringify(toJobData(callback, origin, isFormer));
      const item = {
        callback,
        source: origin.source,
        receivedAtMs: Date.parse(origin.receivedAt),
        nonce: createNonce(isFormer),
        insteadOf,
        data,
        replaces: origin.replaces,
      };
      const dueMs = receivedMs + settings.budgetMs;
      const answerMs = dueMs + afterBudgetMs;
      const stored = await batcherOf(origin.brand).add(item, spool.canStore() ? dueMs : answerMs);
      if (stored.kind === 'unconfirmed' && spool.stats().bytes > settings.spoolBytesMax / 2) {
        // Refusing would lose what the primary already has.
        log.error({ event: 'intake.confirmation_waived', reason: 'the spool is half full' });
        return { kind: stored.outcome };
      }
      if (stored.kind !== 'out' && stored.kind !== 'unconfirmed') return stored;
      const spooled = await spool.append({ kind: 'callback', brand: origin.brand, nonce: item.nonce, data }, answerMs);
      if (spooled.kind === 'stored') return { kind: 'spooled' };
      const last = stored.kind === 'out' ? await lastChance(item, origin.brand, stored, answerMs) : stored;
      if (last.kind === 'unconfirmed') {
        log.error({ event: 'intake.confirmation_waived', reason: 'the spool cannot take it' });
        return { kind: last.outcome };
      }
      if (last.kind !== 'out') return last;
      const why = spooled.kind === 'full' ? 'it is full' : spooled.code;
      return { kind: 'unavailable', reason: `Redis: ${last.reason}; spool: ${why}` };
    },

    /**
     * Hands in spooled callbacks again, in order. Unless the outcome is `stored`, nothing may be deleted. Handing one in twice
     * is safe, since it carries its nonce.
     */
    async resubmit(entries: readonly Resubmitted[]): Promise<ResubmitOutcome> {
      let outcome: ResubmitOutcome = 'stored';
      for (const [brand, ofBrand] of Map.groupBy(entries, (entry) => entry.brand)) {
        const items = ofBrand.map(toAcceptItem).filter((item) => item !== undefined);
        const ofThis = items.length === 0 ? 'stored' : await batcherOf(brand).resubmit(items);
        if (ofThis === 'later' || ofThis === 'refused') return ofThis;
        if (ofThis === 'unconfirmed') outcome = 'unconfirmed';
      }
      return outcome;
    },

    /** Looks up entries of one brand that were handed in before, without handing them in again. */
    async confirm(entries: readonly Resubmitted[]): Promise<Looked> {
      const [first] = entries;
      if (first === undefined) return { outcome: 'stored', gone: new Set() };
      return batcherOf(first.brand).look(entries.map(toAcceptItem).filter((item) => item !== undefined));
    },

    /** How many calls with callbacks of a brand Redis has accepted from this process. */
    taken: (brand: string) => batchers.get(brand)?.taken() ?? 0,

    /** Whether Redis takes callbacks now, as far as the last ones showed. */
    isRedisUp(): boolean {
      return [...batchers.values()].every((batcher) => batcher.isUp());
    },
  };
}

type Out = Extract<BatchOutcome, { kind: 'out' }>;

function monotonicMs(): number {
  return performance.now();
}

/** Undefined if it is not one of our jobs: it cannot be queued, and the spool keeps such rows. */
export function toAcceptItem({ brand, nonce, data }: Resubmitted): AcceptItem | undefined {
  const job = jobSchema.safeParse(parseJson(data));
  if (!job.success || job.data.brand !== brand || kindOf(job.data.status) === undefined) return undefined;
  const parsed = parseCallbackText(job.data.body);
  // A released quarantine entry has the operator's reference; its body has none, so the job's fields count.
  const read = parsed.kind === 'callback' ? parsed.callback : undefined;
  const { gatewayReference, merchantReference, status, type, body } = job.data;
  const finalAmount = amountOfJob(job.data) ?? read?.finalAmount ?? null;
  const callback = { gatewayReference, merchantReference, status, type, body, finalAmount };
  const { source, receivedAt, replaces } = job.data;
  return { callback, source, receivedAtMs: Date.parse(receivedAt), nonce, data, replaces };
}
