// Looks up single transactions, one kind of them: takes what is due, some at once, each apart from the others.
//
// One that hangs or fails costs itself a place for a while and holds up nothing else: it is put off, for longer each time,
// and others take the places that are free. Those that failed before never get more than half of the places, so that
// thousands of them leave room for what is new. Each kind has a lane of its own, with places and connections of its own.
import type { BrandScope } from '../brand-scope.ts';
import { askAgainMs } from '../sweep/watch-unfinished.ts';

export interface LookUps<T> {
  readonly name: 'expectations' | 'watch' | 'conflicts' | 'confirmations';
  /** Looks for what is due at least this often. */
  readonly everyMaxMs?: number;
  /** What is due now, about so many, the longest due first; what needs no call is settled and left out. */
  readonly due: (limit: number) => Promise<readonly T[]>;
  /** No two of one key are looked up at once. */
  readonly keyOf: (item: T) => string;
  /** Looks one up and settles it or puts it off itself, unless no answer could be had. */
  readonly lookUp: (item: T, requestId: string, signal: AbortSignal) => Promise<LookedUp>;
  readonly putOff: (item: T, waitMs: number) => Promise<void>;
}

export type LookedUp = 'done' | 'unanswered';

export interface LookUpLane {
  /** Starts what is due, as far as there are places. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Goes on until the signal aborts; never rejects. */
  run(everyMs: number, signal: AbortSignal): Promise<void>;
}

const atOnceMax = 16;
const failedAtOnceMax = atOnceMax / 2;
const batchMax = 500;
/** After an error that nobody foresaw: of Redis, most likely. */
const pauseMs = 1_000;
const firstWaitMs = 5_000;
/** How many of those that failed are remembered; the first of them are forgotten. */
const rememberedMax = 10_000;

export function createLookUpLane<T>(scope: BrandScope, lookUps: LookUps<T>): LookUpLane {
  const { clock, log, brand, limits } = scope;
  const underWay = new Map<string, Promise<void>>();
  /** How often in a row each had no answer. */
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

  /** Never rejects: whatever happens to one is no other's business. */
  async function lookUpOne(item: T, key: string, requestId: string, signal: AbortSignal): Promise<void> {
    try {
      const ended = await lookUps.lookUp(item, requestId, signal);
      if (ended === 'unanswered') await lookUps.putOff(item, waitAfterFailure(key));
      else failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      log.error({ event: 'reconcile.look_up_broke', brand, kind: lookUps.name, requestId, err: error });
      await lookUps.putOff(item, waitAfterFailure(key)).catch(() => undefined);
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  function waitAfterFailure(key: string): number {
    const count = (failures.get(key) ?? 0) + 1;
    failures.delete(key); // so that the map stays in the order of the last failure
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
    // A backlog goes on as soon as there is a place, and not before.
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

/** The latest, the longest due, the latest but one, ...: a backlog that grows lets through both. */
function byTurns<T>(due: readonly T[]): T[] {
  return [...new Set(due.toReversed().flatMap((latest, at) => [latest, due[at] ?? latest]))];
}
