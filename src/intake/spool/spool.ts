// The spool: durable storage for callbacks that Redis cannot take. This side runs on the main thread.
//
// Promises: `append` resolves to `stored` only after an fsync; it resolves by its caller's deadline, whatever the disk or the
// thread does; it never writes on the main thread. Entries that gather during a write share the next fsync; refused requests (the
// quarantine) are written only while no callback waits. A thread that hangs or dies is reported and replaced, and its successor
// adopts its entries. A write that timed out may still have been stored, which is harmless, since draining deduplicates.
import type { Worker } from 'node:worker_threads';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { createSpoolLink } from './spool-link.ts';
import type { Owner } from './spool-owner.ts';
import { spoolKinds, type SpoolEntry, type SpoolQueue, type SpoolWrite } from './spool-entry.ts';
import type { SpoolBatch, SpoolMessage, SpoolPosition, SpoolState } from './spool-protocol.ts';

export type Spool = ReturnType<typeof createSpool>;
export type { SpooledEntry, SpoolEntry, SpoolQueue, SpoolWrite } from './spool-entry.ts';
export type { SpoolBatch } from './spool-protocol.ts';

export interface SpoolOptions {
  /** SPOOL_DIR. */
  readonly dir: string;
  /** Whose callbacks these are; if undefined, nothing is marked and every orphan is adopted. */
  readonly owner?: Owner | undefined;
  readonly maxBytes: number;
  readonly quarantineMaxBytes?: number;
  readonly quarantineRetainMs?: number;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly metrics?: Pick<Metrics, 'spoolEntries' | 'spoolBytes' | 'spoolDamaged'>;
  /** A write that takes longer counts as stalled. Also the default deadline of an append. */
  readonly writeDeadlineMs?: number;
  /** The thread counts as hung after this time without a reply. */
  readonly threadHungMs?: number;
  readonly startThread?: (options: object) => Worker;
}

interface Waiting {
  readonly entry: SpoolEntry;
  readonly settle: (write: SpoolWrite) => void;
  isSettled: boolean;
}

const readyDeadlineMs = 5_000;
/** Refused requests are written one by one, so that no callback waits for a group of them. */
const groupEntriesMax = { callback: 256, quarantine: 1 };
const groupBytesMax = 4 * 1024 * 1024;
const waitingEntriesMax = 20_000;
const waitingBytesMax = 128 * 1024 * 1024;

const starting: SpoolState = {
  problem: 'SPOOL_STARTING',
  isShort: false,
  damaged: 0,
  entries: 0,
  bytes: 0,
  quarantineEntries: 0,
};

export function createSpool(options: SpoolOptions) {
  const { dir, maxBytes, log, metrics, writeDeadlineMs = 3_000, threadHungMs = 10_000 } = options;
  const { quarantineMaxBytes = 67_108_864, quarantineRetainMs = 30 * 86_400_000 } = options;
  const waiting = { callback: new Array<Waiting>(), quarantine: new Array<Waiting>() };
  let waitingBytes = 0;
  let isWriting = false;
  let writingSinceMs = Number.POSITIVE_INFINITY;
  let state = starting;
  let loggedState: 'usable' | 'full' | 'unusable' | undefined;
  const ready = Promise.withResolvers<void>();
  setTimeout(ready.resolve, readyDeadlineMs).unref(); // a hanging disk must not block the start
  // Read again when a thread is replaced.
  const threadOptions = { spool: true, dir, maxBytes, quarantineMaxBytes, quarantineRetainMs, owner: options.owner };
  const link = createSpoolLink({
    threadOptions,
    startThread: options.startThread,
    hungMs: threadHungMs,
    log,
    onMessage: receive,
    onLost(code) {
      state = { ...state, problem: code };
      logChange();
      ready.resolve();
    },
    onStarted: () => void writeGroups(),
  });

  function receive({ state: next, notices }: SpoolMessage): void {
    state = next;
    metrics?.spoolEntries.set(next.entries);
    metrics?.spoolBytes.set(next.bytes);
    metrics?.spoolDamaged.set(next.damaged);
    for (const notice of notices) {
      if (notice.event === 'spool.adopted') log.info(notice);
      else log.warn(notice);
    }
    logChange();
    ready.resolve();
  }

  function logChange(): void {
    const { problem, isShort, entries, bytes } = state;
    const working = isShort ? 'full' : 'usable';
    const now = problem === undefined ? working : 'unusable';
    if (now === loggedState || link.isClosed()) return;
    if (now === 'unusable') log.error({ event: 'spool.unusable', dir, code: problem });
    else if (now === 'full') log.error({ event: 'spool.full', dir, entries, bytes, maxBytes });
    else log.info({ event: 'spool.usable', dir, entries, bytes });
    loggedState = now;
  }

  /** Why a new callback is not even tried: no callback waits for something that is known to fail. */
  function knownFailure(): string | undefined {
    if (link.isClosed()) return 'SPOOL_CLOSED';
    if (state.problem !== undefined && state.problem !== 'SPOOL_STARTING') return state.problem;
    if (isStalled()) return 'SPOOL_TIMEOUT';
    return waitingEntries() >= waitingEntriesMax || waitingBytes >= waitingBytesMax ? 'SPOOL_BUSY' : undefined;
  }

  const waitingEntries = () => waiting.callback.length + waiting.quarantine.length;

  /** Until the thread answers again, no further callback waits for the disk. */
  const isStalled = () => performance.now() - writingSinceMs > writeDeadlineMs;

  /** One group at a time: entries that arrive meanwhile share the next fsync. */
  async function writeGroups(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    while (link.isUp() && waitingEntries() > 0) {
      const group = takeGroup();
      if (group.length > 0) await write(group);
    }
    isWriting = false;
  }

  /** Of the first kind that waits. Entries that were already reported as `failed` are not written any more. */
  function takeGroup(): Waiting[] {
    const kind = spoolKinds.find((candidate) => waiting[candidate].length > 0) ?? 'callback';
    const group: Waiting[] = [];
    let groupBytes = 0;
    while (group.length < groupEntriesMax[kind] && groupBytes < groupBytesMax) {
      const item = waiting[kind].shift();
      if (item === undefined) break;
      waitingBytes -= item.entry.data.length;
      if (item.isSettled) continue;
      group.push(item);
      groupBytes += item.entry.data.length;
    }
    return group;
  }

  async function write(group: readonly Waiting[]): Promise<void> {
    writingSinceMs = performance.now();
    const { writes = [], code = 'SPOOL_FAILED' } = await link.call({
      op: 'append',
      entries: group.map(({ entry }) => entry),
    });
    writingSinceMs = Number.POSITIVE_INFINITY;
    for (const [index, { settle }] of group.entries()) settle(writes[index] ?? { kind: 'failed', code });
  }

  function enqueue(entry: SpoolEntry, byMs: number): Promise<SpoolWrite> {
    const code = knownFailure();
    if (code !== undefined) return Promise.resolve({ kind: 'failed', code });
    const { promise, resolve } = Promise.withResolvers<SpoolWrite>();
    const deadline = setTimeout(
      () => item.settle({ kind: 'failed', code: 'SPOOL_TIMEOUT' }),
      Math.max(byMs - performance.now(), 0),
    );
    const item: Waiting = {
      entry,
      isSettled: false,
      settle(write) {
        clearTimeout(deadline);
        item.isSettled = true;
        resolve(write);
      },
    };
    waiting[entry.kind].push(item);
    waitingBytes += entry.data.length;
    void writeGroups();
    return promise;
  }

  return {
    /** Resolves once the folder was tried for the first time, usable or not. */
    ready: () => ready.promise,

    /** @param byMs the deadline, by `performance.now()` */
    append: (entry: SpoolEntry, byMs = performance.now() + writeDeadlineMs) => enqueue(entry, byMs),

    /** Whether an ordinary callback could be stored now; readiness uses it while Redis is down. */
    canStore: () => state.problem === undefined && !state.isShort && knownFailure() === undefined,
    stats: () => ({ ...state, bytesMax: maxBytes }),

    /** The job texts of one reference, oldest first; also empty if the spool cannot be read. */
    async find(brand: string, gatewayReference: string, limit = 10): Promise<readonly string[]> {
      const { found = [] } = await link.call({ op: 'find', brand, gatewayReference, limit });
      return found;
    },

    /** Its queues, callbacks first. A queue in several subfolders counts once. */
    async queues(): Promise<readonly SpoolQueue[]> {
      const { queues = [] } = await link.call({ op: 'queues' });
      return spoolKinds.flatMap((kind) => {
        const brands = new Set(queues.filter((queue) => queue.kind === kind).map(({ brand }) => brand));
        return [...brands].map((brand) => ({ kind, brand }));
      });
    },

    /** The oldest entries of a queue, after the positions in `after`. */
    async readBatch(queue: SpoolQueue, limit: number, after: SpoolPosition = new Map()): Promise<SpoolBatch> {
      const { batch = { folder: '', entries: [] } } = await link.call({ op: 'read', queue, limit, after });
      return batch;
    },

    /** Forgets a batch. Entries that the disk refuses to delete are not returned again while this process lives. */
    async remove(queue: SpoolQueue, { folder, entries }: SpoolBatch): Promise<void> {
      const [first, last] = [entries.at(0), entries.at(-1)];
      if (first === undefined || last === undefined) return;
      await link.call({ op: 'remove', queue, folder, ids: [first.id, last.id] });
    },

    /** Redis has returned the id of this deployment (deployment-id.ts). */
    async identify(id: string): Promise<void> {
      if (threadOptions.owner !== undefined) threadOptions.owner = { ...threadOptions.owner, id };
      await link.call({ op: 'identify', id });
    },

    /** Looks for orphans now rather than within the next seconds. */
    async adoptOrphans(): Promise<void> {
      await link.call({ op: 'adopt' });
    },

    /** Entries stay on disk for whoever adopts the subfolder. */
    close: () => link.close(),
  };
}
