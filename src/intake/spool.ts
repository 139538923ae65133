// The spool: where a callback goes durably when Redis cannot take it. This side lives on the main thread.
//
// Promises: `append` answers `stored` only after an fsync; it answers within `writeDeadlineMs` whatever the disk or the
// thread does; it never writes on the main thread. Entries that gather while a write is under way share the next fsync.
// A thread that hangs or dies is reported and replaced, and what it held is adopted by its successor. What timed out may
// be stored all the same: harmless, since draining deduplicates.
import { Worker } from 'node:worker_threads';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { SpooledEntry, SpooledQuarantineEntry, SpoolEntry, SpoolQuarantineEntry } from './spool-store.ts';
import type { SpoolMessage, SpoolReply, SpoolRequest, SpoolState, SpoolWrite } from './spool-thread.ts';

export type Spool = ReturnType<typeof createSpool>;
export type { SpooledEntry, SpooledQuarantineEntry, SpoolEntry, SpoolQuarantineEntry } from './spool-store.ts';
export type { SpoolWrite } from './spool-thread.ts';

export interface SpoolOptions {
  /** SPOOL_DIR. */
  readonly dir: string;
  readonly maxBytes: number;
  readonly quarantineMaxBytes?: number;
  readonly quarantineRetainMs?: number;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly metrics?: Pick<Metrics, 'spoolEntries' | 'spoolBytes'>;
  readonly writeDeadlineMs?: number;
  /** After this long without an answer the thread counts as hung. */
  readonly threadHungMs?: number;
  readonly startThread?: (options: object) => Worker;
}

/** A batch as read from one subfolder: what `remove` needs to forget it. */
export interface SpoolBatch<Entry> {
  readonly folder: string;
  readonly entries: readonly Entry[];
}

interface Waiting {
  readonly entry: SpoolEntry;
  readonly sizeBytes: number;
  readonly settle: (write: SpoolWrite) => void;
  isSettled: boolean;
}

interface Call {
  readonly startedAtMs: number;
  readonly resolve: (reply: SpoolReply) => void;
}

const groupEntriesMax = 256;
const groupBytesMax = 4 * 1024 * 1024;
const waitingEntriesMax = 20_000;
const waitingBytesMax = 128 * 1024 * 1024;
const restartAfterMs = 200;
const closeDeadlineMs = 3_000;

export function createSpool(options: SpoolOptions) {
  const { dir, maxBytes, log, metrics, writeDeadlineMs = 1_500, threadHungMs = 10_000 } = options;
  const { quarantineMaxBytes = 67_108_864, quarantineRetainMs = 30 * 86_400_000 } = options;
  const { startThread = startSpoolThread } = options;
  const waiting: Waiting[] = [];
  const calls = new Map<number, Call>();
  let thread: Worker | undefined;
  let state: SpoolState = { problem: 'SPOOL_STARTING', entries: 0, bytes: 0, quarantineEntries: 0 };
  let waitingBytes = 0;
  let isWriting = false;
  /** A write is overdue: until the thread answers again no further callback waits for the disk. */
  let isStalled = false;
  let isClosed = false;
  let lastId = 0;
  let told: 'usable' | 'full' | 'unusable' | undefined;
  let restartTimer: NodeJS.Timeout | undefined;
  const ready = Promise.withResolvers<void>();

  start();
  const watchdog = setInterval(replaceHungThread, Math.min(1_000, threadHungMs / 2));
  watchdog.unref();

  return {
    /** Resolves once the folder was tried for the first time, usable or not. */
    ready: () => ready.promise,

    append(entry: SpoolEntry): Promise<SpoolWrite> {
      const { problem } = state;
      if (isClosed) return Promise.resolve({ kind: 'failed', code: 'SPOOL_CLOSED' });
      // Known to fail: no callback waits for that. The thread keeps trying, and reports when it works again.
      if (problem !== undefined && problem !== 'SPOOL_STARTING') {
        return Promise.resolve({ kind: 'failed', code: problem });
      }
      if (isStalled) return Promise.resolve({ kind: 'failed', code: 'SPOOL_TIMEOUT' });
      if (waiting.length >= waitingEntriesMax || waitingBytes >= waitingBytesMax) {
        return Promise.resolve({ kind: 'failed', code: 'SPOOL_BUSY' });
      }
      return new Promise((resolve) => {
        const deadline = setTimeout(() => {
          isStalled = true;
          item.settle({ kind: 'failed', code: 'SPOOL_TIMEOUT' });
        }, writeDeadlineMs);
        const item: Waiting = {
          entry,
          sizeBytes: entry.data.length,
          isSettled: false,
          settle(write) {
            clearTimeout(deadline);
            item.isSettled = true;
            resolve(write);
          },
        };
        waiting.push(item);
        waitingBytes += item.sizeBytes;
        void writeGroup();
      });
    },

    async appendQuarantine(entry: SpoolQuarantineEntry): Promise<SpoolWrite> {
      const timeout = Promise.withResolvers<SpoolReply>();
      const timer = setTimeout(() => timeout.resolve({ op: 'failed', code: 'SPOOL_TIMEOUT' }), writeDeadlineMs);
      const reply = await Promise.race([call({ op: 'appendQuarantine', entry }), timeout.promise]);
      clearTimeout(timer);
      return writesOf(reply, 1)[0] ?? { kind: 'failed', code: 'SPOOL_FAILED' };
    },

    /** Whether a callback that came now could be stored: what readiness asks while Redis is out. */
    canStore: () => state.problem === undefined && state.bytes < maxBytes && !isStalled,
    stats: () => ({ ...state, bytesMax: maxBytes }),

    /** The job texts of one reference, oldest first; empty also where the spool cannot be read. */
    async find(brand: string, gatewayReference: string, limit = 10): Promise<readonly string[]> {
      const reply = await call({ op: 'find', brand, gatewayReference, limit });
      return reply.op === 'find' ? reply.found : [];
    },

    async brands(): Promise<readonly string[]> {
      const reply = await call({ op: 'brands' });
      return reply.op === 'brands' ? reply.brands : [];
    },

    async readBatch(brand: string, limit: number): Promise<SpoolBatch<SpooledEntry>> {
      const reply = await call({ op: 'read', brand, limit });
      return reply.op === 'read' ? reply : { folder: '', entries: [] };
    },

    /** Forgets a batch. What the disk refuses to delete is still not given out again while this process lives. */
    async remove(brand: string, batch: SpoolBatch<SpooledEntry>): Promise<void> {
      const upToId = batch.entries.at(-1)?.id;
      if (upToId !== undefined) await call({ op: 'remove', brand, folder: batch.folder, upToId });
    },

    async readQuarantine(limit: number): Promise<SpoolBatch<SpooledQuarantineEntry>> {
      const reply = await call({ op: 'readQuarantine', limit });
      return reply.op === 'readQuarantine' ? reply : { folder: '', entries: [] };
    },

    async removeQuarantine(batch: SpoolBatch<SpooledQuarantineEntry>): Promise<void> {
      const upToId = batch.entries.at(-1)?.id;
      if (upToId !== undefined) await call({ op: 'removeQuarantine', folder: batch.folder, upToId });
    },

    /** Looks for orphans now rather than within the next seconds. */
    async adoptOrphans(): Promise<void> {
      await call({ op: 'adopt' });
    },

    /** Ends the thread. Entries stay on the disk for whoever adopts the subfolder. */
    async close(): Promise<void> {
      if (isClosed) return;
      const closing = call({ op: 'close' });
      isClosed = true;
      clearInterval(watchdog);
      clearTimeout(restartTimer);
      const timer = setTimeout(() => failCalls('SPOOL_TIMEOUT'), closeDeadlineMs);
      await closing;
      clearTimeout(timer);
      void thread?.terminate();
    },
  };

  function start(): void {
    const worker = startThread({ spool: true, dir, maxBytes, quarantineMaxBytes, quarantineRetainMs });
    thread = worker;
    // A stray thread must not keep a process alive that is done: while an answer is owed, `call` holds it.
    worker.unref();
    worker.on('message', (message: SpoolMessage) => {
      if (worker === thread) receive(message);
    });
    worker.on('error', (error) => {
      if (worker === thread) log.error({ event: 'spool.thread-failed', reason: error.message });
    });
    worker.on('exit', () => {
      if (worker === thread) replaceThread('SPOOL_THREAD_DIED');
    });
  }

  function receive({ state: next, reply, notices }: SpoolMessage): void {
    state = next;
    metrics?.spoolEntries.set(next.entries);
    metrics?.spoolBytes.set(next.bytes);
    for (const notice of notices) {
      if (notice.event === 'spool.adopted') log.info(notice);
      else log.warn(notice);
    }
    tellChange();
    ready.resolve();
    if (reply === undefined) return;
    isStalled = false;
    calls.get(reply.id)?.resolve(reply.value);
    calls.delete(reply.id);
  }

  function tellChange(): void {
    const { problem, entries, bytes } = state;
    const now = problem !== undefined ? 'unusable' : bytes >= maxBytes ? 'full' : 'usable';
    if (now === told || isClosed) return;
    if (now === 'unusable') log.error({ event: 'spool.unusable', dir, code: problem });
    else if (now === 'full') log.error({ event: 'spool.full', dir, entries, bytes, maxBytes });
    else log.info({ event: 'spool.usable', dir, entries, bytes });
    told = now;
  }

  function call(request: SpoolRequest): Promise<SpoolReply> {
    const worker = thread;
    if (worker === undefined || isClosed) return Promise.resolve({ op: 'failed', code: 'SPOOL_CLOSED' });
    lastId += 1;
    const id = lastId;
    worker.ref();
    return new Promise<SpoolReply>((resolve) => {
      calls.set(id, { startedAtMs: performance.now(), resolve });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ id, request });
    }).finally(() => {
      if (calls.size === 0) worker.unref();
    });
  }

  /** One group at a time: what comes meanwhile shares the next fsync. */
  async function writeGroup(): Promise<void> {
    if (isWriting || thread === undefined) return;
    isWriting = true;
    for (let group = takeGroup(); group.length > 0; group = takeGroup()) {
      const reply = await call({ op: 'append', entries: group.map(({ entry }) => entry) });
      const writes = writesOf(reply, group.length);
      for (const [index, { settle }] of group.entries()) {
        settle(writes[index] ?? { kind: 'failed', code: 'SPOOL_FAILED' });
      }
    }
    isWriting = false;
  }

  /** Whoever was already told `failed` is not written any more. */
  function takeGroup(): Waiting[] {
    if (thread === undefined) return [];
    const group: Waiting[] = [];
    let groupBytes = 0;
    for (const item of waiting) {
      if (group.length >= groupEntriesMax || groupBytes >= groupBytesMax) break;
      group.push(item);
      groupBytes += item.sizeBytes;
    }
    waiting.splice(0, group.length);
    waitingBytes -= groupBytes;
    const live = group.filter(({ isSettled }) => !isSettled);
    return live.length === 0 && waiting.length > 0 ? takeGroup() : live;
  }

  function oldestCallMs(): number {
    const oldest = calls.values().next().value;
    return oldest === undefined ? 0 : performance.now() - oldest.startedAtMs;
  }

  function replaceHungThread(): void {
    if (oldestCallMs() < threadHungMs) return;
    log.error({ event: 'spool.thread-hung', waitedMs: threadHungMs });
    const hung = thread;
    replaceThread('SPOOL_THREAD_HUNG');
    // It ends once it comes back from the system call that holds it; its lock, and so its entries, are free then.
    void hung?.terminate();
  }

  function replaceThread(code: string): void {
    thread = undefined;
    isStalled = false;
    state = { ...state, problem: code };
    tellChange();
    failCalls(code);
    if (isClosed) return;
    restartTimer = setTimeout(() => {
      start();
      void writeGroup();
    }, restartAfterMs);
  }

  function failCalls(code: string): void {
    for (const { resolve } of calls.values()) resolve({ op: 'failed', code });
    calls.clear();
  }
}

function writesOf(reply: SpoolReply, count: number): readonly SpoolWrite[] {
  if (reply.op === 'append') return reply.writes;
  const code = reply.op === 'failed' ? reply.code : 'SPOOL_FAILED';
  return Array.from({ length: count }, () => ({ kind: 'failed', code }) as const);
}

/** Beside this file, with its own ending: `.ts` in a checkout, `.js` in the package. */
function startSpoolThread(options: object): Worker {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./spool-thread.${ending}`, import.meta.url), { workerData: options });
}
