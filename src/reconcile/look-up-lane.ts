// Looks up single transactions, one kind of them: takes what is due, some at once, each apart from the others.
//
// One that hangs or fails costs itself a place for a while and holds up nothing else: it is put off, and others take the
// places that are free. Each kind has a lane of its own, with places and connections of its own.
import type { BrandScope } from './brand-scope.ts';

export interface LookUps<T> {
  readonly name: 'expectations' | 'watch' | 'conflicts';
  /** What is due now, the longest due first, at most so many; what needs no call is settled and left out. */
  readonly due: (limit: number) => Promise<readonly T[]>;
  /** No two of one key are looked up at once. */
  readonly keyOf: (item: T) => string;
  /** Looks one up, and settles it or puts it off. */
  readonly lookUp: (item: T, requestId: string, signal: AbortSignal) => Promise<void>;
  readonly putOff: (item: T) => Promise<void>;
}

export interface LookUpLane {
  /** Starts what is due, as far as there are places. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Goes on until the signal aborts; never rejects. */
  run(everyMs: number, signal: AbortSignal): Promise<void>;
}

const atOnceMax = 16;
const batchMax = 100;
/** After an error that nobody foresaw: of Redis, most likely. */
const pauseMs = 1_000;

export function createLookUpLane<T>(scope: BrandScope, lookUps: LookUps<T>): LookUpLane {
  const { clock, log, brand } = scope;
  const underWay = new Map<string, Promise<void>>();

  async function start(signal: AbortSignal): Promise<void> {
    const requestId = `look-up-${clock.now().toString(36)}`;
    for (const item of await lookUps.due(batchMax)) {
      if (underWay.size >= atOnceMax || signal.aborted) return;
      const key = lookUps.keyOf(item);
      if (underWay.has(key)) continue;
      const one = lookUpOne(item, requestId, signal).finally(() => underWay.delete(key));
      underWay.set(key, one);
    }
  }

  /** Never rejects: whatever happens to one is no other's business. */
  async function lookUpOne(item: T, requestId: string, signal: AbortSignal): Promise<void> {
    try {
      await lookUps.lookUp(item, requestId, signal);
    } catch (error) {
      if (signal.aborted) return;
      log.error({ event: 'reconcile.look_up_broke', brand, kind: lookUps.name, requestId, err: error });
      await lookUps.putOff(item).catch(() => undefined);
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }

  async function round(everyMs: number, signal: AbortSignal): Promise<void> {
    try {
      await start(signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ event: 'reconcile.interrupted', brand, kind: lookUps.name, err: error });
      return clock.sleep(pauseMs, signal);
    }
    if (underWay.size >= atOnceMax) await Promise.race(underWay.values());
    else await clock.sleep(everyMs, signal);
  }

  const idle = async () => void (await Promise.all(underWay.values()));

  return {
    start,
    idle,
    async run(everyMs, signal) {
      while (!signal.aborted) await round(everyMs, signal).catch(() => undefined);
      await idle();
    },
  };
}
