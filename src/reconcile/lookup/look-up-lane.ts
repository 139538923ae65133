// A lane of look-ups of one kind: takes due items, several at once, each independent of the others.
//
// An item that hangs or fails occupies a place for a while and holds up nothing else: it is postponed, longer each time, and
// others use the free places. Items that failed before never get more than half of the places, so that thousands of them
// leave room for new ones. Each kind has its own lane, with its own places and connections.
import type { BrandScope } from '../brand-scope.ts';
import { askAgainMs } from '../sweep/watch-unfinished.ts';

export interface LookUps<T> {
  readonly name: 'expectations' | 'watch' | 'conflicts' | 'confirmations';
  /** The longest time between two looks for due items. */
  readonly everyMaxMs?: number;
  /** About this many due items, longest overdue first; items that need no call are settled and left out. */
  readonly due: (limit: number) => Promise<readonly T[]>;
  /** Items with the same key are never looked up at the same time. */
  readonly keyOf: (item: T) => string;
  /** Looks one up, then settles or postpones it, unless there was no answer. */
  readonly lookUp: (item: T, requestId: string, signal: AbortSignal) => Promise<LookedUp>;
  readonly defer: (item: T, waitMs: number) => Promise<void>;
}

export type LookedUp = 'done' | 'unanswered';

export interface LookUpLane {
  /** Starts due items, as far as there are places. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing is in progress. */
  idle(): Promise<void>;
  /** Runs until the signal aborts; never rejects. */
  run(everyMs: number, signal: AbortSignal): Promise<void>;
}

const atOnceMax = 16;
const failedAtOnceMax = atOnceMax / 2;
const batchMax = 500;
/** After an unexpected error, most likely of Redis. */
const pauseMs = 1_000;
const firstWaitMs = 5_000;
/** How many failed items are remembered; the oldest are forgotten. */
const rememberedMax = 10_000;

export function createLookUpLane<T>(scope: BrandScope, lookUps: LookUps<T>): LookUpLane {
  const { clock, log, brand, limits } = scope;
  const underWay = new Map<string, Promise<void>>();
  /** How often in a row each went unanswered. */
  const failures = new Map<string, number>();

  function hasPlace(key: string): boolean {
    if (underWay.size >= atOnceMax || underWay.has(key)) return false;
    if (!failures.has(key)) return true;
    return [...underWay.keys()].filter((other) => failures.has(other)).length < failedAtOnceMax;
  }

  async function start(signal: AbortSignal): Promise<void> {
    const requestId = `look-up-${clock.now().toString(36)}`;
    const due = await lookUps.due(batchMax);
    const { fresh = [], failed = [] } = Object.groupBy(due, (item) =>
      failures.has(lookUps.keyOf(item)) ? 'failed' : 'fresh',
    );
    for (const item of [...byTurns(fresh), ...failed]) {
      if (signal.aborted) return;
      const key = lookUps.keyOf(item);
      if (!hasPlace(key)) continue;
      const one = lookUpOne(item, key, requestId, signal).finally(() => underWay.delete(key));
      underWay.set(key, one);
    }
  }

  /** Never rejects: one item's error must not affect the others. */
  async function lookUpOne(item: T, key: string, requestId: string, signal: AbortSignal): Promise<void> {
    try {
      const ended = await lookUps.lookUp(item, requestId, signal);
      if (ended === 'unanswered') await lookUps.defer(item, waitAfterFailure(key));
      else failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      log.error({ event: 'reconcile.look_up_broke', brand, kind: lookUps.name, requestId, err: error });
      await lookUps.defer(item, waitAfterFailure(key)).catch(() => undefined);
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  function waitAfterFailure(key: string): number {
    const count = (failures.get(key) ?? 0) + 1;
    failures.delete(key); // keeps the map ordered by last failure
    failures.set(key, count);
    const [oldest] = failures.keys();
    if (failures.size > rememberedMax && oldest !== undefined) failures.delete(oldest);
    return Math.min(firstWaitMs * 2 ** Math.min(count - 1, 10), askAgainMs(limits));
  }

  async function round(everyMs: number, signal: AbortSignal): Promise<void> {
    try {
      await start(signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ event: 'reconcile.interrupted', brand, kind: lookUps.name, err: error });
      return clock.sleep(pauseMs, signal);
    }
    const pausing = new AbortController();
    const pause = clock.sleep(everyMs, AbortSignal.any([signal, pausing.signal])).catch(() => undefined);
    // A backlog continues as soon as a place is free, and not before.
    await (underWay.size >= failedAtOnceMax ? Promise.race([pause, ...underWay.values()]) : pause);
    pausing.abort();
  }

  const idle = async () => void (await Promise.all(underWay.values()));

  return {
    start,
    idle,
    async run(everyMs, signal) {
      const { everyMaxMs = everyMs } = lookUps;
      while (!signal.aborted) await round(Math.min(everyMs, everyMaxMs), signal).catch(() => undefined);
      await idle();
    },
  };
}

/** Alternates: the latest, the longest overdue, the second latest, ...; a growing backlog lets both through. */
function byTurns<T>(due: readonly T[]): T[] {
  return [...new Set(due.toReversed().flatMap((latest, at) => [latest, due[at] ?? latest]))];
}
