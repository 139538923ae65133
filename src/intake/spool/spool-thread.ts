// The spool's thread: every write and fsync of the spool happens here, none on the main thread.
//
// Answers requests in order, each reply with the new state; between requests it keeps its subfolder usable and adopts orphans.
// It keeps no promises itself: if it hangs or dies, spool.ts fails its pending requests and starts another thread, which adopts
// its subfolders.
import { parentPort, workerData } from 'node:worker_threads';
import * as z from 'zod';
import { createSpoolFolders } from './spool-folders.ts';
import { isDamage, spoolCodeOf } from './spool-code.ts';
import { spoolBytesOf, type SpooledEntry, type SpoolEntry, type SpoolWrite } from './spool-entry.ts';
import { describeOwner } from './spool-owner.ts';
import {
  spoolThreadOptions,
  type SpoolBatch,
  type SpoolMessage,
  type SpoolNotice,
  type SpoolReply,
  type SpoolRequest,
  type SpoolState,
} from './spool-protocol.ts';
import { createRoom } from './spool-room.ts';
import { listDamaged } from './spool-salvage.ts';
import type { SpoolStore } from './spool-store.ts';

/** How soon a failed spool is tried again, and how soon an orphan is found (the contract allows half a minute). */
const maintainEveryMs = 500;
const adoptEveryMs = 5_000;

if (parentPort !== null && z.object({ spool: z.literal(true) }).safeParse(workerData).success) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  const options = spoolThreadOptions.parse(workerData);
  let notices: SpoolNotice[] = [];
  const folders = createSpoolFolders(options.dir, options.owner, (saved) =>
    notices.push({ event: 'spool.damaged', ...saved }),
  );
  const room = createRoom(options);
  let reportedProblems = new Set<string>();
  let lastSent = '';
  let damaged = 0;

  const maintainTimer = setInterval(() => {
    folders.maintain(room.ordinaryBytes());
    tell();
  }, maintainEveryMs);
  const adoptTimer = setInterval(() => {
    adopt();
    tell();
  }, adoptEveryMs);

  port.on('message', ({ id, request }: { id: number; request: SpoolRequest }) => {
    const value = answer(request);
    send({ id, value });
    if (request.op === 'close') port.close();
  });
  folders.maintain(room.ordinaryBytes());
  adopt();
  send();

  function answer(request: SpoolRequest): SpoolReply {
    try {
      return perform(request);
    } catch (error) {
      return { code: spoolCodeOf(error) };
    }
  }

  function perform(request: SpoolRequest): SpoolReply {
    switch (request.op) {
      case 'append':
        return { writes: append(request.entries) };
      case 'queues':
        return { queues: ofEach((store) => store.queues()) };
      case 'read':
        return {
          batch: readFirst((store) => store.read(request.queue, request.limit, request.after.get(store.folder))),
        };
      case 'remove':
        remove(request.folder, (store) => store.remove(request.queue, request.ids));
        return {};
      case 'find': {
        const { brand, gatewayReference, limit } = request;
        return { found: ofEach((store) => store.find(brand, gatewayReference, limit)).slice(0, limit) };
      }
      case 'identify':
        folders.identify(request.id);
        adopt();
        return {};
      case 'adopt':
        adopt();
        return {};
      case 'close':
        clearInterval(maintainTimer);
        clearInterval(adoptTimer);
        folders.close();
        return {};
    }
  }

  /** One transaction and one fsync for all that fit: callbacks are added, quarantine entries may replace the oldest ones. */
  function append(entries: readonly SpoolEntry[]): SpoolWrite[] {
    const store = folders.own();
    if (store === undefined) return entries.map(() => failed());
    const { maxBytes, quarantineMaxBytes, quarantineRetainMs } = options;
    const free = { callback: maxBytes - totals().bytes, quarantine: quarantineMaxBytes };
    const fitting = new Set<SpoolEntry>();
    for (const entry of entries) {
      const bytes = spoolBytesOf(entry);
      if (entry.kind === 'callback') room.offered(bytes);
      if (bytes > free[entry.kind]) continue;
      free[entry.kind] -= bytes;
      fitting.add(entry);
    }
    const isRefusing = [...fitting].some(({ kind }) => kind === 'quarantine');
    try {
      const excessBytes = store.totals().quarantine.bytes - free.quarantine;
      const dropped = isRefusing ? store.oldest('quarantine', excessBytes, Date.now() - quarantineRetainMs) : undefined;
      if (fitting.size > 0) store.append([...fitting], dropped);
      if (dropped !== undefined && dropped.entries > 0)
        notices.push({ event: 'spool.quarantine_dropped', dropped: dropped.entries });
    } catch (error) {
      folders.failed(spoolCodeOf(error));
      return entries.map((entry) => (fitting.has(entry) ? failed() : { kind: 'full' }));
    }
    for (const entry of fitting) folders.wrote(spoolBytesOf(entry));
    return entries.map((entry) => ({ kind: fitting.has(entry) ? 'stored' : 'full' }));
  }

  function failed(): SpoolWrite {
    return { kind: 'failed', code: folders.code() ?? 'SPOOL_FAILED' };
  }

  function readFirst(read: (store: SpoolStore) => SpooledEntry[]): SpoolBatch {
    for (const store of folders.all()) {
      const entries = salvaging(store, () => read(store)) ?? [];
      if (entries.length > 0) return { folder: store.folder, entries };
    }
    return { folder: '', entries: [] };
  }

  /** Undefined if the store turns out to be damaged: its readable part is in another store from now on. */
  function salvaging<Result>(store: SpoolStore, action: () => Result): Result | undefined {
    try {
      return action();
    } catch (error) {
      if (!isDamage(error)) throw error;
      folders.salvage(store);
      return undefined;
    }
  }

  function ofEach<Result>(read: (store: SpoolStore) => Result[]): Result[] {
    return folders.all().flatMap((store) => salvaging(store, () => read(store)) ?? []);
  }

  /** A disk that refuses the delete does not stop the drain: the store does not return the entries again (spool-store.ts). */
  function remove(folder: string, action: (store: SpoolStore) => void): void {
    const store = folders.all().find((candidate) => candidate.folder === folder);
    try {
      if (store !== undefined) salvaging(store, () => action(store));
    } catch (error) {
      notices.push({ event: 'spool.not_deleted', code: spoolCodeOf(error) });
    }
    folders.sweep();
  }

  function adopt(): void {
    const problems = new Set<string>();
    const tell = (problem: string, notice: SpoolNotice) => {
      problems.add(problem);
      if (!reportedProblems.has(problem)) notices.push(notice);
    };
    const taken = folders.adopt({
      onProblem: (folder, code) => tell(`${folder} ${code}`, notAdopted(folder, code)),
      onForeign: (folder, owner) => tell(folder, { event: 'spool.foreign', folder, owner: describeOwner(owner) }),
    });
    reportedProblems = problems;
    for (const { folder, entries } of taken) notices.push({ event: 'spool.adopted', folder, entries });
    damaged = listDamaged(options.dir).length;
    folders.sweep();
  }

  function totals() {
    const sum = { entries: 0, bytes: 0, quarantineEntries: 0, largestBytes: 0 };
    for (const store of folders.all()) {
      const { callback, quarantine } = store.totals();
      sum.entries += callback.entries;
      sum.bytes += callback.bytes;
      sum.quarantineEntries += quarantine.entries;
      sum.largestBytes = Math.max(sum.largestBytes, store.largestBytes);
    }
    return sum;
  }

  function state(): SpoolState {
    const { largestBytes, ...sums } = totals();
    return { problem: folders.code(), isShort: room.isShort({ bytes: sums.bytes, largestBytes }), damaged, ...sums };
  }

  function send(reply?: { id: number; value: SpoolReply }): void {
    const message: SpoolMessage = { state: state(), notices, ...(reply !== undefined && { reply }) };
    lastSent = JSON.stringify(message.state);
    notices = [];
    port.postMessage(message);
  }

  /** Unsolicited, and only if something changed. */
  function tell(): void {
    if (notices.length > 0 || JSON.stringify(state()) !== lastSent) send();
  }
}

function notAdopted(folder: string, code: string): SpoolNotice {
  if (code === 'SPOOL_LATER_VERSION') return { event: 'spool.of_later_version', folder };
  return { event: 'spool.not_adopted', folder, code };
}
