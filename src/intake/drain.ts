// The drain: returns spooled entries to intake, or to the quarantine, once Redis is back.
//
// Promises: each queue's entries (one kind, one brand) go back in order, in bounded batches; an entry is deleted only after
// Redis confirmed it; a queue that Redis does not take delays no other one. While too few replicas confirm, entries are handed
// in once each and stay in the spool; from then on they are looked up, and only those that Redis lost are handed in again. An
// entry that is unreadable, or refused by a Redis that takes others, is moved to the quarantine, so that it blocks nothing: a
// refused batch is halved until the entries at fault are alone. A callback of a later version, and a refused request that
// Redis refuses, stay on disk for the next process and block nothing either. Never throws; it backs off and tries again.
import type { Log } from '../telemetry/log.ts';
import type { Looked, ResubmitOutcome } from './batcher.ts';
import { isOfLaterVersion } from '../callback/job.ts';
import { within } from '../async/deadline.ts';
import { parseJson } from '../callback/json-text.ts';
import { toAcceptItem } from './intake.ts';
import type { SetAsideReason, SubmitQuarantineOutcome } from './quarantine/quarantine-from-spool.ts';
import type { Spool, SpoolBatch, SpooledEntry, SpoolEntry, SpoolQueue } from './spool/spool.ts';

export interface DrainDependencies {
  readonly spool: Pick<Spool, 'queues' | 'readBatch' | 'remove' | 'stats'>;
  /** Hands in entries of one brand again; `stored` only once Redis and enough replicas have them all. */
  readonly submit: (entries: readonly SpoolEntry[]) => Promise<ResubmitOutcome>;
  /** Checks whether Redis, and enough replicas, have the entries of one brand that were handed in before. */
  readonly confirm: (entries: readonly SpoolEntry[]) => Promise<Looked>;
  /** Moves refused requests into Redis's quarantine. */
  readonly submitQuarantine: (entries: readonly SpoolEntry[]) => Promise<SubmitQuarantineOutcome>;
  /** Keeps an entry that cannot be queued, for an operator to look at. */
  readonly setAside: (entry: SpoolEntry, reason: SetAsideReason) => Promise<'stored' | 'later'>;
  /** How many calls with callbacks of the brand Redis has accepted, spooled or not. */
  readonly taken?: (brand: string) => number;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

const noneBefore: Looked = { outcome: 'stored', gone: new Set() };

/** Callbacks wait for at most one batch of refused requests, which go to Redis one by one. */
const batchMax = { callback: 256, quarantine: 20 };
const idleMs = 200;
const backoffMinMs = 100;
const backoffMaxMs = 3_000;

type Round = 'empty' | 'progress' | 'held';

const outcomesFromBest = ['stored', 'unconfirmed', 'later'] as const;

interface HandedIn {
  readonly outcome: (typeof outcomesFromBest)[number];
  /** Each was refused on its own. */
  readonly refused: readonly SpooledEntry[];
}

type Submit = (entries: readonly SpooledEntry[]) => Promise<ResubmitOutcome>;
type Position = Map<string, number>;

export function createDrain(dependencies: DrainDependencies) {
  const { spool, submit, confirm, submitQuarantine, setAside, taken = () => 0, log } = dependencies;
  let isStopping = false;
  const ended = new AbortController();
  let running: Promise<void> | undefined;
  let endPause: (() => void) | undefined;
  let drained = 0;
  /** By brand, and for each subfolder: the last id that Redis has, even if too few replicas confirmed it. */
  const handedIn = new Map<string, Position>();
  /** By brand, while Redis refuses everything: how many calls it had accepted when that began. */
  const takenBefore = new Map<string, number>();
  /** By queue, and for each subfolder: the last id up to which the remaining entries stay on disk. */
  const passed = new Map<string, Position>();

  async function run(): Promise<void> {
    let backoffMs = backoffMinMs;
    while (!ended.signal.aborted) {
      const round = await tryRound();
      if (isStopping && round !== 'progress') return;
      switch (round) {
        case 'progress':
          backoffMs = backoffMinMs;
          break;
        case 'empty':
          logDrained();
          backoffMs = backoffMinMs;
          await pause(idleMs);
          break;
        case 'held':
          await pause(backoffMs);
          backoffMs = Math.min(backoffMs * 2, backoffMaxMs);
          break;
      }
    }
  }

  async function tryRound(): Promise<Round> {
    const { entries, quarantineEntries } = spool.stats();
    if (entries === 0 && quarantineEntries === 0) return 'empty';
    try {
      const rounds: Round[] = [];
      for (const queue of await spool.queues()) {
        if (!ended.signal.aborted) rounds.push(await queueRound(queue));
      }
      return rounds.find((round) => round === 'progress') ?? 'held';
    } catch (error) {
      log.warn({ event: 'spool.drain_failed', reason: error instanceof Error ? error.message : String(error) });
      return 'held';
    }
  }

  /** One batch of one queue. */
  async function queueRound(queue: SpoolQueue): Promise<Round> {
    const batch = await spool.readBatch(queue, batchMax[queue.kind], passed.get(nameOf(queue)));
    if (batch.entries.length === 0) return 'held';
    return queue.kind === 'callback' ? callbackRound(queue, batch) : quarantineRound(queue, batch);
  }

  async function callbackRound(queue: SpoolQueue, batch: SpoolBatch): Promise<Round> {
    const { brand } = queue;
    const { jobs, later, unreadable } = sortOut(batch.entries);
    const { outcome, refused, tried } = await handInOnce(brand, batch.folder, jobs);
    if (outcome === 'later') return 'held';
    if (outcome === 'unconfirmed') return handInNext(queue, batch);
    const culprits = await culpritsOf(brand, refused, tried);
    if (culprits === undefined) return 'held';
    if (!(await setAllAside(unreadable, 'unreadable')) || !(await setAllAside(culprits, 'refused'))) return 'held';
    if (later.length > 0)
      log.warn({ event: 'spool.of_later_version', folder: batch.folder, brand, entries: later.length });
    return settle(queue, batch, later);
  }

  async function quarantineRound(queue: SpoolQueue, batch: SpoolBatch): Promise<Round> {
    const { outcome, refused } = await handIn(batch.entries, submitQuarantine);
    if (outcome === 'later') return 'held';
    for (const { nonce } of refused) log.warn({ event: 'spool.quarantine_refused', folder: batch.folder, id: nonce });
    return settle(queue, batch, refused);
  }

  /** Deletes what Redis has, and moves past what stays. */
  async function settle(queue: SpoolQueue, batch: SpoolBatch, staying: readonly SpooledEntry[]): Promise<Round> {
    for (const entries of runsWithout(batch.entries, staying)) await spool.remove(queue, { ...batch, entries });
    if (staying.length > 0) advancePast(passed, nameOf(queue), batch);
    drained += batch.entries.length - staying.length;
    return 'progress';
  }

  /** Looks up earlier entries, and hands in only the missing and the new ones. */
  async function handInOnce(brand: string, folder: string, jobs: readonly SpooledEntry[]) {
    const upToId = handedIn.get(brand)?.get(folder) ?? 0;
    const before = jobs.filter(({ id }) => id <= upToId);
    const found = before.length === 0 ? noneBefore : await confirm(before);
    if (found.outcome === 'later') {
      handedIn.delete(brand); // Redis may have come back with a torn file; only handing in again repairs that
      return { outcome: found.outcome, refused: [], tried: 0 };
    }
    const missing = jobs.filter(({ id, nonce }) => id > upToId || found.gone.has(nonce));
    const { outcome, refused } = await handIn(missing, submit);
    // An earlier entry that Redis accepts again was lost with a primary, and so was everything after it.
    const isLost = missing.some((entry) => found.gone.has(entry.nonce) && !refused.includes(entry));
    if (isLost) handedIn.delete(brand);
    return { outcome: worse(found.outcome, outcome), refused, tried: missing.length };
  }

  /**
   * The entries that Redis refuses although it takes others. Undefined if Redis itself is at fault (it refuses everything, for
   * instance because its queue has the wrong type); empty if it has just recovered and takes them now.
   */
  async function culpritsOf(
    brand: string,
    refused: readonly SpooledEntry[],
    tried: number,
  ): Promise<SpooledEntry[] | undefined> {
    const before = takenBefore.get(brand) ?? taken(brand);
    if (refused.length > 0 && refused.length === tried && taken(brand) === before) {
      takenBefore.set(brand, before);
      return undefined;
    }
    takenBefore.delete(brand);
    const culprits: SpooledEntry[] = [];
    for (const entry of refused) {
      const outcome = await submit([entry]);
      if (outcome === 'refused') culprits.push(entry);
      else if (outcome !== 'stored') return undefined;
    }
    return culprits;
  }

  async function setAllAside(entries: readonly SpooledEntry[], reason: SetAsideReason): Promise<boolean> {
    for (const entry of entries) {
      if ((await setAside(entry, reason)) === 'later') return false;
      log.warn({ event: 'spool.set_aside', brand: entry.brand, nonce: entry.nonce, reason });
    }
    return true;
  }

  /** The oldest batch waits for replicas; later entries must not wait for Redis meanwhile. */
  async function handInNext(queue: SpoolQueue, oldest: SpoolBatch): Promise<Round> {
    const position = advancePast(handedIn, queue.brand, oldest);
    const batch = await spool.readBatch(queue, batchMax.callback, position);
    const { jobs } = sortOut(batch.entries);
    if ((await handIn(jobs, submit)).outcome === 'later') return 'held';
    advancePast(handedIn, queue.brand, batch);
    return batch.entries.length === 0 ? 'held' : 'progress';
  }

  function logDrained(): void {
    if (drained > 0) log.info({ event: 'spool.drained', entries: drained });
    drained = 0;
  }

  async function pause(ms: number): Promise<void> {
    if (isStopping) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    endPause = resolve;
    await promise;
    clearTimeout(timer);
  }

  return {
    start(): void {
      running ??= run();
    },

    /** Redis is back: try at once. */
    wake: () => endPause?.(),

    /**
     * Continues until the spool is empty, Redis takes no more, or the deadline passes. Resolves to the number of remaining
     * entries, which is logged; they stay on disk for the next process.
     */
    async stop(deadlineMs: number): Promise<number> {
      isStopping = true;
      endPause?.();
      await within(deadlineMs, Promise.resolve(running)).catch(() => undefined);
      ended.abort();
      logDrained();
      const { entries, quarantineEntries, bytes } = spool.stats();
      const left = entries + quarantineEntries;
      if (left > 0) log.warn({ event: 'spool.left', entries, quarantineEntries, bytes });
      return left;
    },
  };
}

/** Halves a refused batch until the entries at fault are alone. Handing an entry in twice is safe. */
async function handIn(entries: readonly SpooledEntry[], give: Submit): Promise<HandedIn> {
  const outcome = entries.length === 0 ? 'stored' : await give(entries);
  if (outcome !== 'refused') return { outcome, refused: [] };
  if (entries.length === 1) return { outcome: 'stored', refused: entries };
  const middle = Math.ceil(entries.length / 2);
  const first = await handIn(entries.slice(0, middle), give);
  if (first.outcome === 'later') return first;
  const second = await handIn(entries.slice(middle), give);
  return { outcome: worse(first.outcome, second.outcome), refused: [...first.refused, ...second.refused] };
}

function advancePast(positions: Map<string, Position>, name: string, { folder, entries }: SpoolBatch): Position {
  const position = positions.get(name) ?? new Map<string, number>();
  positions.set(name, position);
  const lastId = entries.at(-1)?.id;
  if (lastId !== undefined) position.set(folder, Math.max(position.get(folder) ?? 0, lastId));
  return position;
}

function nameOf({ kind, brand }: SpoolQueue): string {
  return `${kind} ${brand}`;
}

/** The ranges between the entries that stay. */
function runsWithout(entries: readonly SpooledEntry[], staying: readonly SpooledEntry[]): SpooledEntry[][] {
  const runs: SpooledEntry[][] = [[]];
  for (const entry of entries) {
    if (staying.includes(entry)) runs.push([]);
    else runs.at(-1)?.push(entry);
  }
  return runs;
}

function worse(one: HandedIn['outcome'], other: HandedIn['outcome']): HandedIn['outcome'] {
  return outcomesFromBest.indexOf(one) < outcomesFromBest.indexOf(other) ? other : one;
}

function sortOut(entries: readonly SpooledEntry[]) {
  const sorted = {
    jobs: new Array<SpooledEntry>(),
    later: new Array<SpooledEntry>(),
    unreadable: new Array<SpooledEntry>(),
  };
  for (const entry of entries) {
    if (toAcceptItem(entry) !== undefined) sorted.jobs.push(entry);
    else if (isOfLaterVersion(parseJson(entry.data))) sorted.later.push(entry);
    else sorted.unreadable.push(entry);
  }
  return sorted;
}
