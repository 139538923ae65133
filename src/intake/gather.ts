// Group commit for one brand: while calls to Redis are on their way, the next callbacks gather into the next batch.
//
// There is no timer, so a lone callback waits for nothing. When Redis fails or is late, everything that waits goes to
// the spool at once; after a few failures in a row (the breaker) callbacks go there without asking Redis, until a
// drained entry or, with an empty spool, one callback in a while has shown that Redis is back.
import { batchSizeMax, type AcceptItem, type AcceptOutcome } from '../queue/accept-batch.ts';
import type { Log } from '../runtime/log.ts';
import type { SpoolDoor, Store } from './intake.ts';

export type GatherOutcome =
  | { readonly kind: AcceptOutcome }
  /** Redis has it, but fewer replicas than asked for. */
  | { readonly kind: 'unconfirmed'; readonly outcome: AcceptOutcome }
  | { readonly kind: 'out'; readonly reason: string };

/**
 * `stored`: Redis has them all, and as many replicas as asked for. `unconfirmed`: Redis has them all, too few replicas
 * do. `later`: Redis does not take them.
 */
export type ResubmitOutcome = 'stored' | 'unconfirmed' | 'later';

export type Gatherer = ReturnType<typeof createGatherer>;

/** Two calls of at most 16 were measured best (docs/performance.md). */
const callsInFlightMax = 2;
const failuresToOpen = 3;
const probeEveryMs = 1_000;
/** While spooled entries try anyway, a callback does only in case they cannot (each is unreadable, say). */
const probeEveryWithSpoolMs = 10_000;

interface Waiting {
  readonly item: AcceptItem;
  readonly resolve: (outcome: GatherOutcome) => void;
}

export interface GathererDependencies {
  readonly store: Store;
  readonly spool: SpoolDoor;
  /** ACK_BUDGET: the longest that a callback waits for Redis. */
  readonly budgetMs: number;
  readonly log: Log;
  readonly now: () => number;
}

export function createGatherer({ store, spool, budgetMs, log, now }: GathererDependencies) {
  let waiting: Waiting[] = [];
  let callsInFlight = 0;
  let failuresInARow = 0;
  let triedAtMs = 0;

  const isOpen = () => failuresInARow >= failuresToOpen;

  function pump(): void {
    while (callsInFlight < callsInFlightMax && waiting.length > 0) {
      const batch = waiting.splice(0, batchSizeMax);
      callsInFlight += 1;
      void send(batch).finally(() => {
        callsInFlight -= 1;
        pump();
      });
    }
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    try {
      const { outcomes, confirmed } = await call(batch.map(({ item }) => item));
      for (const [index, { resolve }] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) throw new TypeError('The accept script answered fewer outcomes than callbacks.');
        resolve(confirmed ? { kind: outcome } : { kind: 'unconfirmed', outcome });
      }
    } catch (error) {
      const reason = reasonOf(error);
      // Those that gathered meanwhile have used up part of their time already and would only run into the same.
      const late = waiting;
      waiting = [];
      for (const { resolve } of [...batch, ...late]) resolve({ kind: 'out', reason });
    }
  }

  async function call(items: readonly AcceptItem[]): ReturnType<Store['batch']> {
    try {
      const result = await within(budgetMs, store.batch(items));
      succeeded();
      return result;
    } catch (error) {
      failed(reasonOf(error));
      if (error instanceof LateError) store.reset();
      throw error;
    }
  }

  function succeeded(): void {
    if (isOpen()) log.info({ event: 'intake.redis_back' });
    failuresInARow = 0;
  }

  function failed(reason: string): void {
    failuresInARow += 1;
    triedAtMs = now();
    if (failuresInARow === failuresToOpen) log.warn({ event: 'intake.redis_out', reason });
  }

  /** While the breaker is open only a callback in a while may try: each may cost its sender all of the budget. */
  function mayTry(): boolean {
    if (!isOpen()) return true;
    const everyMs = spool.canStore() && spool.stats().entries > 0 ? probeEveryWithSpoolMs : probeEveryMs;
    if (now() < triedAtMs + everyMs) return false;
    triedAtMs = now();
    return true;
  }

  return {
    add(item: AcceptItem): Promise<GatherOutcome> {
      if (!mayTry()) return Promise.resolve({ kind: 'out', reason: 'the breaker is open' });
      const { promise, resolve } = Promise.withResolvers<GatherOutcome>();
      waiting.push({ item, resolve });
      pump();
      return promise;
    },

    /** Hands in what was spooled, in order, one call after the other. */
    async resubmit(items: readonly AcceptItem[]): Promise<ResubmitOutcome> {
      let allConfirmed = true;
      try {
        for (let at = 0; at < items.length; at += batchSizeMax) {
          const { confirmed } = await call(items.slice(at, at + batchSizeMax));
          allConfirmed &&= confirmed;
        }
        return allConfirmed ? 'stored' : 'unconfirmed';
      } catch {
        return 'later'; // said by `failed`; the entries stay where they are
      }
    },

    isUp(): boolean {
      return !isOpen();
    },
  };
}

class LateError extends Error {
  readonly code = 'REDIS_LATE';

  constructor(budgetMs: number) {
    super(`Redis did not answer within ${budgetMs} ms`);
  }
}

/** Rejects when the time is over, whatever becomes of the call: no Redis may hold an answer. */
async function within<T>(budgetMs: number, call: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LateError(budgetMs)), budgetMs);
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first word of a reply error is its protocol code (OOM, READONLY, ...); others have a code or a name. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = /^[A-Z]{3,}(?= )/.exec(error.message)?.[0];
  return code ?? ('code' in error ? String(error.code) : error.message.slice(0, 200));
}
