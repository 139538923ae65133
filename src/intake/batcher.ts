// Group commit for one brand: while calls to Redis are in flight, the next callbacks gather into a batch.
//
// Batches have no timer, so a lone callback never waits for one. Each callback has a deadline, counted from its receipt; when
// it passes, whatever the callback waits for (a batch, a round trip, replicas), it goes to the spool. It goes there at once if
// Redis is too slow to meet the deadline, and so do all that wait when a call fails. After a few failures in a row (the breaker)
// callbacks skip Redis, until a drained entry or, with an empty spool, a probing callback shows that Redis is back.
import { lookSizeMax, type AcceptItem, type AcceptOutcome } from '../store/accept/accept-batch.ts';
import { isScriptError } from '../redis/script-error.ts';
import { LateError, within } from '../async/deadline.ts';
import type { Log } from '../telemetry/log.ts';
import { createDueTimes } from './due-times.ts';
import type { Store } from './redis-store.ts';
import type { SpoolDoor } from './spool/spool-entry.ts';
import { callsInFlightMax, createPace } from './pace.ts';

export type BatchOutcome =
  | { readonly kind: AcceptOutcome }
  /** Redis has it, but too few replicas confirmed. */
  | { readonly kind: 'unconfirmed'; readonly outcome: AcceptOutcome }
  /** `late`: the outcome of the call that still carries it, if one does. */
  | { readonly kind: 'out'; readonly reason: string; readonly late?: Promise<BatchOutcome> };

/**
 * `stored`: Redis has them all, and enough replicas confirmed. `unconfirmed`: Redis has them all, too few replicas
 * confirmed. `later`: Redis does not take them. `refused`: Redis works, but the script fails on one of them; some may be
 * stored.
 */
export type ResubmitOutcome = 'stored' | 'unconfirmed' | 'later' | 'refused';

/** What a look at earlier entries found. */
export interface Looked {
  readonly outcome: 'stored' | 'unconfirmed' | 'later';
  /** Nonces of those that Redis does not have (any more); they must be handed in again. */
  readonly gone: ReadonlySet<string>;
}

export type Batcher = ReturnType<typeof createBatcher>;

const failuresToOpen = 3;
const probeEveryMs = 1_000;
/** With a spool, drained entries probe; a callback probes too in case they cannot (each may be unreadable). */
const probeEveryWithSpoolMs = 10_000;
/** The size of a batch, unless its only callback is larger: several batches are in memory at a time, each more than once. */
const batchCharactersMax = 1_048_576;
const waitingMax = 10_000;
const waitingCharactersMax = 67_108_864;

interface Waiting {
  readonly item: AcceptItem;
  readonly dueAtMs: number;
  resolve: (outcome: BatchOutcome) => void;
  isSent: boolean;
}

export interface BatcherDependencies {
  readonly store: Store;
  readonly spool: SpoolDoor;
  /** ACK_BUDGET: the longest that a call may take. */
  readonly budgetMs: number;
  readonly log: Log;
  /** Monotonic. */
  readonly now: () => number;
}

export function createBatcher({ store, spool, budgetMs, log, now }: BatcherDependencies) {
  /** Callbacks that wait for a batch, and those in a call. */
  const dueTimes = createDueTimes<Waiting>({ now, onOverdue: giveUp });
  const calls = new Set<{ readonly startedAtMs: number }>();
  const pace = createPace(log, now);
  let waiting: Waiting[] = [];
  let waitingCharacters = 0;
  let callsInFlight = 0;
  let failuresInARow = 0;
  let triedAtMs = -probeEveryWithSpoolMs;
  let taken = 0;

  const isOpen = () => failuresInARow >= failuresToOpen;

  function settle(one: Waiting, outcome: BatchOutcome): void {
    dueTimes.delete(one);
    one.resolve(outcome);
  }

  /** A callback that waits for a batch is removed; one in a call carries a nonce, so spooling it as well is harmless. */
  function giveUp(overdue: readonly Waiting[]): void {
    const waitsNoLonger = new Set(overdue);
    replaceWaiting(waiting.filter((one) => !waitsNoLonger.has(one)));
    for (const one of overdue) {
      pace.turnAway();
      const { promise: late, resolve } = Promise.withResolvers<BatchOutcome>();
      settle(one, { kind: 'out', reason: 'Redis is too slow', ...(one.isSent && { late }) });
      one.resolve = resolve;
    }
  }

  function replaceWaiting(next: Waiting[]): void {
    waiting = next;
    waitingCharacters = next.reduce((sum, { item }) => sum + item.data.length, 0);
  }

  function pump(): void {
    while (callsInFlight < callsInFlightMax && waiting.length > 0) {
      const batch = takeBatch();
      callsInFlight += 1;
      void send(batch).finally(() => {
        callsInFlight -= 1;
        pump();
      });
    }
  }

  function takeBatch(): Waiting[] {
    const sizeMax = pace.batchSizeMax();
    let size = 0;
    let characters = 0;
    for (const { item } of waiting) {
      if (size === sizeMax || (size > 0 && characters + item.data.length > batchCharactersMax)) break;
      size += 1;
      characters += item.data.length;
    }
    waitingCharacters -= characters;
    const batch = waiting.splice(0, size);
    for (const one of batch) one.isSent = true;
    return batch;
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    try {
      const { outcomes, confirmed } = await take(batch.map(({ item }) => item));
      for (const [index, one] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) throw new TypeError('The accept script returned fewer outcomes than callbacks.');
        settle(one, confirmed ? { kind: outcome } : { kind: 'unconfirmed', outcome });
      }
    } catch (error) {
      if (isScriptError(error) && batch.length > 1 && !isOpen()) return sendHalves(batch);
      const reason = reasonOf(error);
      for (const one of batch) settle(one, { kind: 'out', reason });
      // Those that gathered meanwhile have used up part of their time and would probably fail as well.
      if (isScriptError(error) || !spool.canStore()) return;
      for (const one of waiting) settle(one, { kind: 'out', reason });
      replaceWaiting([]);
    }
  }

  /** One callback that the script fails on must not send the rest of its batch to the spool. */
  async function sendHalves(batch: readonly Waiting[]): Promise<void> {
    const middle = Math.ceil(batch.length / 2);
    await send(batch.slice(0, middle));
    await send(batch.slice(middle));
  }

  async function take(items: readonly AcceptItem[]): ReturnType<Store['batch']> {
    const result = await call(items.length, () => store.batch(items));
    taken += 1;
    return result;
  }

  async function call<T>(callbacks: number, ask: () => Promise<T>): Promise<T> {
    const current = { startedAtMs: now() };
    calls.add(current);
    try {
      const result = await within(budgetMs, ask());
      pace.measured(now() - current.startedAtMs);
      succeeded();
      return result;
    } catch (error) {
      pace.measured(now() - current.startedAtMs);
      if (isScriptError(error)) log.warn({ event: 'intake.refused', callbacks, reason: reasonOf(error) });
      if (callbacks === 1 || !isScriptError(error)) failed(reasonOf(error));
      if (error instanceof LateError) store.reset();
      throw error;
    } finally {
      calls.delete(current);
    }
  }

  function succeeded(): void {
    if (isOpen()) log.info({ event: 'intake.redis_back' });
    failuresInARow = 0;
    pace.succeeded();
  }

  function failed(reason: string): void {
    failuresInARow += 1;
    triedAtMs = now();
    if (failuresInARow === failuresToOpen) log.warn({ event: 'intake.redis_out', reason });
  }

  /** A spooled correction was acknowledged, so somebody may look for it. */
  function logOvertaken(items: readonly AcceptItem[], outcomes: readonly AcceptOutcome[]): void {
    for (const [index, { callback }] of items.entries()) {
      if (outcomes[index] !== 'overtaken') continue;
      const { gatewayReference, status } = callback;
      log.info({ event: 'intake.correction_overtaken', gatewayReference, status });
    }
  }

  /** While the breaker is open only an occasional callback may probe: each may cost its sender the whole budget. */
  function mayTry(): boolean {
    if (!isOpen()) return true;
    const everyMs = spool.canStore() && spool.stats().entries > 0 ? probeEveryWithSpoolMs : probeEveryMs;
    if (now() < triedAtMs + everyMs) return false;
    triedAtMs = now();
    return true;
  }

  /** Why a new callback does not wait for Redis. */
  function refusal(dueAtMs: number, insists: boolean): string | undefined {
    if (waiting.length >= waitingMax || waitingCharacters >= waitingCharactersMax) return 'too many callbacks wait';
    if (insists || !spool.canStore()) return undefined;
    if (!mayTry()) return 'the breaker is open';
    if (callsInFlight < callsInFlightMax) return undefined;
    const nowMs = now();
    const [oldest] = calls;
    const expectedMs = pace.expectedMs(waiting.length, nowMs - (oldest?.startedAtMs ?? nowMs));
    if (nowMs + expectedMs <= dueAtMs) return undefined;
    pace.turnAway();
    return 'Redis is too slow';
  }

  return {
    /**
     * @param dueAtMs until when Redis may take it; afterwards the outcome is `out`
     * @param insists if the spool cannot take it: then any chance is better than none
     */
    add(item: AcceptItem, dueAtMs: number, { insists = false } = {}): Promise<BatchOutcome> {
      const reason = refusal(dueAtMs, insists);
      if (reason !== undefined) return Promise.resolve({ kind: 'out', reason });
      const { promise, resolve } = Promise.withResolvers<BatchOutcome>();
      const one = { item, dueAtMs, resolve, isSent: false };
      dueTimes.add(one);
      waiting.push(one);
      waitingCharacters += item.data.length;
      pump();
      return promise;
    },

    /** Hands in spooled entries, in order, one call after the other. */
    async resubmit(items: readonly AcceptItem[]): Promise<ResubmitOutcome> {
      let allConfirmed = true;
      try {
        for (let at = 0; at < items.length;) {
          const batch = items.slice(at, at + pace.batchSizeMax());
          const { outcomes, confirmed } = await take(batch);
          logOvertaken(batch, outcomes);
          at += batch.length;
          allConfirmed &&= confirmed;
        }
        return allConfirmed ? 'stored' : 'unconfirmed';
      } catch (error) {
        return isScriptError(error) ? 'refused' : 'later'; // logged by `call`; the entries stay where they are
      }
    },

    /** Looks up what `resubmit` handed in before. */
    async look(items: readonly AcceptItem[]): Promise<Looked> {
      const gone = new Set<string>();
      let allConfirmed = true;
      for (let at = 0; at < items.length; at += lookSizeMax) {
        const batch = items.slice(at, at + lookSizeMax);
        try {
          const looked = await call(batch.length, () => store.look(batch));
          for (const { nonce } of looked.gone) gone.add(nonce);
          allConfirmed &&= looked.confirmed;
        } catch (error) {
          if (!isScriptError(error)) return { outcome: 'later', gone };
          for (const { nonce } of batch) gone.add(nonce); // handing them in again finds the one at fault
        }
      }
      return { outcome: allConfirmed ? 'stored' : 'unconfirmed', gone };
    },

    /** False also while Redis takes some callbacks but cannot keep up with them. */
    isUp(): boolean {
      return !isOpen() && pace.keepsUp();
    },

    /** How many calls Redis has accepted. */
    taken: () => taken,
  };
}

/** A reply error begins with its protocol code (OOM, READONLY, ...); other errors have a code or a name. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = /^[A-Z]{3,}(?= )/.exec(error.message)?.[0];
  return code ?? ('code' in error ? String(error.code) : error.message.slice(0, 200));
}
