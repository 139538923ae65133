// The spool: where a callback goes durably when Redis cannot take it. This side lives on the main thread.
//
// Promises: `append` answers `stored` only after an fsync; it answers by the time that its caller names, whatever the
// disk or the thread does; it never writes on the main thread. Entries that gather while a write is under way share the
// next fsync; what was refused (the quarantine) is written only while no callback waits. A thread that hangs or dies is
// reported and replaced, and what it held is adopted by its successor. What timed out may be stored anyway:
// harmless, since draining deduplicates.
import type { Worker } from 'node:worker_threads';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { createSpoolLink } from './spool-link.ts';
import type { Owner } from './spool-owner.ts';
import type { SpooledEntry, SpooledQuarantineEntry, SpoolEntry, SpoolQuarantineEntry } from './spool-entry.ts';
import type {
  SpoolMessage,
  SpoolPosition,
  SpoolRange,
  SpoolReply,
  SpoolRequest,
  SpoolState,
  SpoolWrite,
} from './spool-protocol.ts';

export type Spool = ReturnType<typeof createSpool>;
export type { SpooledEntry, SpooledQuarantineEntry, SpoolEntry, SpoolQuarantineEntry } from './spool-entry.ts';
export type { SpoolWrite } from './spool-protocol.ts';

export interface SpoolOptions {
  /** SPOOL_DIR. */
  readonly dir: string;
  /** Whose callbacks these are; without one nothing is marked, and what anybody left is taken. */
  readonly owner?: Owner | undefined;
  readonly maxBytes: number;
  readonly quarantineMaxBytes?: number;
  readonly quarantineRetainMs?: number;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly metrics?: Pick<Metrics, 'spoolEntries' | 'spoolBytes' | 'spoolDamaged'>;
  /** A write that takes longer counts as stalled. Also the time for an answer where a caller names none. */
  readonly writeDeadlineMs?: number;
  /** After this long without an answer the thread counts as hung. */
  readonly threadHungMs?: number;
  readonly startThread?: (options: object) => Worker;
}

/** A batch as read from one subfolder, without a gap: what `remove` needs to forget it. */
export interface SpoolBatch<Entry> {
  readonly folder: string;
  readonly entries: readonly Entry[];
}

interface Waiting<Entry> {
  readonly entry: Entry;
  readonly sizeBytes: number;
  readonly settle: (write: SpoolWrite) => void;
  isSettled: boolean;
}

const readyDeadlineMs = 5_000;
const groupEntriesMax = 256;
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
  const waiting: Waiting<SpoolEntry>[] = [];
  const refused: Waiting<SpoolQuarantineEntry>[] = [];
  let waitingBytes = 0;
  let isWriting = false;
  let writingSinceMs = Number.POSITIVE_INFINITY;
  let state = starting;
  let told: 'usable' | 'full' | 'unusable' | undefined;
  const ready = Promise.withResolvers<void>();
  setTimeout(ready.resolve, readyDeadlineMs).unref(); // a disk that hangs holds no start
  // Read again where a thread is replaced.
  const threadOptions = { spool: true, dir, maxBytes, quarantineMaxBytes, quarantineRetainMs, owner: options.owner };
  const link = createSpoolLink({
    threadOptions,
    startThread: options.startThread,
    hungMs: threadHungMs,
    log,
    onMessage: receive,
    onLost(code) {
      state = { ...state, problem: code };
      tellChange();
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
    tellChange();
    ready.resolve();
  }

  function tellChange(): void {
    const { problem, isShort, entries, bytes } = state;
    const working = isShort ? 'full' : 'usable';
    const now = problem === undefined ? working : 'unusable';
    if (now === told || link.isClosed()) return;
    if (now === 'unusable') log.error({ event: 'spool.unusable', dir, code: problem });
    else if (now === 'full') log.error({ event: 'spool.full', dir, entries, bytes, maxBytes });
    else log.info({ event: 'spool.usable', dir, entries, bytes });
    told = now;
  }

  /** Why a callback that comes now is not even tried: no callback waits for what is known to fail. */
  function knownFailure(): string | undefined {
    if (link.isClosed()) return 'SPOOL_CLOSED';
    if (state.problem !== undefined && state.problem !== 'SPOOL_STARTING') return state.problem;
    if (isStalled()) return 'SPOOL_TIMEOUT';
    return waiting.length + refused.length >= waitingEntriesMax || waitingBytes >= waitingBytesMax
      ? 'SPOOL_BUSY'
      : undefined;
  }

  /** Until the thread answers again no further callback waits for the disk. */
  const isStalled = () => performance.now() - writingSinceMs > writeDeadlineMs;

  /** One group at a time: what comes meanwhile shares the next fsync. */
  async function writeGroups(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    while (link.isUp() && waiting.length + refused.length > 0) {
      const group = take(waiting, groupEntriesMax);
      if (group.length > 0) await write(group, { op: 'append', entries: group.map(({ entry }) => entry) });
      else for (const one of take(refused, 1)) await write([one], { op: 'appendQuarantine', entry: one.entry });
    }
    isWriting = false;
  }

  /** Whoever was already told `failed` is not written any more. */
  function take<Entry>(from: Waiting<Entry>[], entriesMax: number): Waiting<Entry>[] {
    const group: Waiting<Entry>[] = [];
    let groupBytes = 0;
    while (group.length < entriesMax && groupBytes < groupBytesMax) {
      const item = from.shift();
      if (item === undefined) break;
      waitingBytes -= item.sizeBytes;
      if (item.isSettled) continue;
      group.push(item);
      groupBytes += item.sizeBytes;
    }
    return group;
  }

  async function write(group: readonly Waiting<unknown>[], request: SpoolRequest): Promise<void> {
    writingSinceMs = performance.now();
    const writes = writesOf(await link.call(request), group.length);
    writingSinceMs = Number.POSITIVE_INFINITY;
    for (const [index, { settle }] of group.entries()) {
      settle(writes[index] ?? { kind: 'failed', code: 'SPOOL_FAILED' });
    }
  }

  function enqueue<Entry>(to: Waiting<Entry>[], entry: Entry, sizeBytes: number, byMs: number): Promise<SpoolWrite> {
    const code = knownFailure();
    if (code !== undefined) return Promise.resolve({ kind: 'failed', code });
    const { promise, resolve } = Promise.withResolvers<SpoolWrite>();
    const deadline = setTimeout(
      () => item.settle({ kind: 'failed', code: 'SPOOL_TIMEOUT' }),
      Math.max(byMs - performance.now(), 0),
    );
    const item: Waiting<Entry> = {
      entry,
      sizeBytes,
      isSettled: false,
      settle(write) {
        clearTimeout(deadline);
        item.isSettled = true;
        resolve(write);
      },
    };
    to.push(item);
    waitingBytes += sizeBytes;
    void writeGroups();
    return promise;
  }

  return {
    /** Resolves once the folder was tried for the first time, usable or not. */
    ready: () => ready.promise,

    /** @param byMs when the answer is due, by `performance.now()` */
    append: (entry: SpoolEntry, byMs = performance.now() + writeDeadlineMs) =>
      enqueue(waiting, entry, entry.data.length, byMs),

    appendQuarantine: (entry: SpoolQuarantineEntry, byMs = performance.now() + writeDeadlineMs) =>
      enqueue(refused, entry, entry.body.byteLength, byMs),

    /** Whether an ordinary callback that came now could be stored: what readiness asks while Redis is out. */
    canStore: () => state.problem === undefined && !state.isShort && knownFailure() === undefined,
    stats: () => ({ ...state, bytesMax: maxBytes }),

    /** The job texts of one reference, oldest first; empty also where the spool cannot be read. */
    async find(brand: string, gatewayReference: string, limit = 10): Promise<readonly string[]> {
      const reply = await link.call({ op: 'find', brand, gatewayReference, limit });
      return reply.op === 'find' ? reply.found : [];
    },

    async brands(): Promise<readonly string[]> {
      const reply = await link.call({ op: 'brands' });
      return reply.op === 'brands' ? reply.brands : [];
    },

    /** The oldest entries of a brand, behind those of `behind`. */
    async readBatch(
      brand: string,
      limit: number,
      behind: SpoolPosition = new Map(),
    ): Promise<SpoolBatch<SpooledEntry>> {
      const reply = await link.call({ op: 'read', brand, limit, behind });
      return reply.op === 'read' ? reply : { folder: '', entries: [] };
    },

    /** Forgets a batch. What the disk refuses to delete is still not given out again while this process lives. */
    async remove(brand: string, { folder, entries }: SpoolBatch<SpooledEntry>): Promise<void> {
      const ids = rangeOf(entries);
      if (ids !== undefined) await link.call({ op: 'remove', brand, folder, ids });
    },

    async readQuarantine(
      limit: number,
      behind: SpoolPosition = new Map(),
    ): Promise<SpoolBatch<SpooledQuarantineEntry>> {
      const reply = await link.call({ op: 'readQuarantine', limit, behind });
      return reply.op === 'readQuarantine' ? reply : { folder: '', entries: [] };
    },

    async removeQuarantine({ folder, entries }: SpoolBatch<SpooledQuarantineEntry>): Promise<void> {
      const ids = rangeOf(entries);
      if (ids !== undefined) await link.call({ op: 'removeQuarantine', folder, ids });
    },

    /** Redis has said the id of this deployment (deployment-id.ts). */
    async identify(id: string): Promise<void> {
      if (threadOptions.owner !== undefined) threadOptions.owner = { ...threadOptions.owner, id };
      await link.call({ op: 'identify', id });
    },

    /** Looks for orphans now rather than within the next seconds. */
    async adoptOrphans(): Promise<void> {
      await link.call({ op: 'adopt' });
    },

    /** Entries stay on the disk for whoever adopts the subfolder. */
    close: () => link.close(),
  };
}

/** Undefined for none. */
function rangeOf(entries: readonly { readonly id: number }[]): SpoolRange | undefined {
  const [first, last] = [entries.at(0), entries.at(-1)];
  return first === undefined || last === undefined ? undefined : [first.id, last.id];
}

function writesOf(reply: SpoolReply, count: number): readonly SpoolWrite[] {
  if (reply.op === 'append') return reply.writes;
  const code = reply.op === 'failed' ? reply.code : 'SPOOL_FAILED';
  return Array.from({ length: count }, () => ({ kind: 'failed', code }) as const);
}
