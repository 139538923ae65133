// The way back from the spool: returns its entries to intake when Redis is there again.
//
// Promises: each brand's entries go back in the order in which they came, in bounded batches; an entry is deleted only
// after `submit` said that Redis confirmed it; a brand that Redis does not take holds no other brand back. While Redis
// takes them but too few replicas confirm, all of them are handed in, each once, and stay here as well. What cannot be
// read as a job is set aside in quarantine, so that it stops nothing. Never throws; it backs off and tries again.
import { jobSchema } from '../queue/job.ts';
import type { Log } from '../runtime/log.ts';
import type { ResubmitOutcome } from './gather.ts';
import type { Spool, SpoolBatch, SpooledEntry, SpooledQuarantineEntry, SpoolEntry } from './spool.ts';

export interface DrainDependencies {
  readonly spool: Pick<Spool, 'brands' | 'readBatch' | 'remove' | 'readQuarantine' | 'removeQuarantine' | 'stats'>;
  /** Hands entries of one brand in again; `stored` only once Redis and enough replicas have them all. */
  readonly submit: (entries: readonly SpoolEntry[]) => Promise<ResubmitOutcome>;
  /** Moves what was quarantined beside the spool into Redis. */
  readonly submitQuarantine: (entries: readonly SpooledQuarantineEntry[]) => Promise<'stored' | 'later'>;
  /** Keeps an entry that is no job, for an operator to look at. */
  readonly setAside: (entry: SpoolEntry) => Promise<'stored' | 'later'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

export type Drain = ReturnType<typeof createDrain>;

const batchMax = 256;
const quarantineBatchMax = 20;
const idleMs = 200;
const backoffMinMs = 100;
const backoffMaxMs = 3_000;

type Round = 'empty' | 'progress' | 'held';

export function createDrain({ spool, submit, submitQuarantine, setAside, log }: DrainDependencies) {
  let isStopping = false;
  const ended = new AbortController();
  let running: Promise<void> | undefined;
  let endPause: (() => void) | undefined;
  let drained = 0;
  /** By brand, and for each subfolder: the last id that Redis has, though too few replicas may. */
  const handedIn = new Map<string, Map<string, number>>();

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
          tellDrained();
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
      const rounds = entries === 0 ? [] : await brandRounds();
      if (quarantineEntries > 0 && !ended.signal.aborted) rounds.push(await quarantineRound());
      return rounds.find((round) => round === 'progress') ?? 'held';
    } catch (error) {
      log.warn({ event: 'spool.drain-failed', reason: error instanceof Error ? error.message : String(error) });
      return 'held';
    }
  }

  async function brandRounds(): Promise<Round[]> {
    const rounds: Round[] = [];
    for (const brand of await spool.brands()) {
      if (!ended.signal.aborted) rounds.push(await brandRound(brand));
    }
    return rounds;
  }

  /** One batch of one brand. */
  async function brandRound(brand: string): Promise<Round> {
    const batch = await spool.readBatch(brand, batchMax);
    if (batch.entries.length === 0) return 'empty';
    const { jobs, unreadable } = sortOut(batch.entries);
    const outcome = jobs.length === 0 ? 'stored' : await submit(jobs);
    if (outcome === 'later') return 'held';
    if (outcome === 'unconfirmed') return handInNext(brand, batch);
    for (const entry of unreadable) {
      if ((await setAside(entry)) === 'later') return 'held';
      log.warn({ event: 'spool.set-aside', brand, nonce: entry.nonce });
    }
    await spool.remove(brand, batch);
    drained += batch.entries.length;
    return 'progress';
  }

  /** The oldest batch waits for replicas; what lies behind it must not wait for Redis meanwhile. */
  async function handInNext(brand: string, oldest: SpoolBatch<SpooledEntry>): Promise<Round> {
    const position = handedIn.get(brand) ?? new Map<string, number>();
    handedIn.set(brand, position);
    goBehind(position, oldest);
    const batch = await spool.readBatch(brand, batchMax, position);
    const { jobs } = sortOut(batch.entries);
    if (jobs.length > 0 && (await submit(jobs)) === 'later') return 'held';
    goBehind(position, batch);
    return batch.entries.length === 0 ? 'held' : 'progress';
  }

  async function quarantineRound(): Promise<Round> {
    const batch = await spool.readQuarantine(quarantineBatchMax);
    if (batch.entries.length === 0) return 'empty';
    if ((await submitQuarantine(batch.entries)) === 'later') return 'held';
    await spool.removeQuarantine(batch);
    drained += batch.entries.length;
    return 'progress';
  }

  function tellDrained(): void {
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

    /** Redis came back: try at once. */
    wake: () => endPause?.(),

    /**
     * Drains on until the spool is empty, Redis takes no more, or the deadline is over; what remains is logged with its
     * count and lies on the disk for the next process. Resolves to that count.
     */
    async stop(deadlineMs: number): Promise<number> {
      isStopping = true;
      endPause?.();
      const deadline = Promise.withResolvers<void>();
      const timer = setTimeout(deadline.resolve, deadlineMs);
      await Promise.race([running, deadline.promise]);
      clearTimeout(timer);
      ended.abort();
      tellDrained();
      const { entries, quarantineEntries, bytes } = spool.stats();
      const left = entries + quarantineEntries;
      if (left > 0) log.warn({ event: 'spool.left', entries, quarantineEntries, bytes });
      return left;
    },
  };
}

function goBehind(position: Map<string, number>, { folder, entries }: SpoolBatch<SpooledEntry>): void {
  const lastId = entries.at(-1)?.id;
  if (lastId !== undefined) position.set(folder, Math.max(position.get(folder) ?? 0, lastId));
}

function sortOut(entries: readonly SpooledEntry[]): { jobs: SpooledEntry[]; unreadable: SpooledEntry[] } {
  const jobs: SpooledEntry[] = [];
  const unreadable: SpooledEntry[] = [];
  for (const entry of entries) (isJob(entry) ? jobs : unreadable).push(entry);
  return { jobs, unreadable };
}

function isJob({ brand, data }: SpoolEntry): boolean {
  try {
    const job = jobSchema.safeParse(JSON.parse(data));
    return job.success && job.data.brand === brand;
  } catch {
    return false;
  }
}
