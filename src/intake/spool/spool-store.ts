// One subfolder of the spool: a SQLite file that only this process holds.
//
// Owns the file and its lock. Promises: when `append` returns, its entries are on disk (one fsync per call); the lock is SQLite's
// own exclusive one, which the kernel releases when the process dies, so a killed process's subfolder can be opened at once, and
// never by two. Runs in the spool's thread and in the CLI, never on the service's main thread. Throws on failure; `spoolCodeOf`
// (spool-code.ts) names the reason.
import { copyFileSync, existsSync, statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import * as z from 'zod';
import { isDamage, spoolCodeOf, SpoolDamagedError } from './spool-code.ts';
import {
  checksumOf,
  spoolBytesOf,
  type SpooledEntry,
  type SpoolEntry,
  type SpoolKind,
  type SpoolQueue,
  type SpoolRange,
} from './spool-entry.ts';
import { createSpoolFolder, keptWal, removeSpoolFolder, spoolFile } from './spool-folder.ts';
import { carryOver, countFormer } from './spool-layout-0.ts';
import type { Owner } from './spool-owner.ts';
import { hidesFrames } from './spool-pages.ts';
import { columnsOf, dataRow, ensureLayout, kindRow, oldRow, queueRow, takeEntries, totalRow } from './spool-rows.ts';

export type SpoolStore = ReturnType<typeof openSpoolStore>;

/** The oldest entries of a kind. */
interface Oldest {
  readonly kind: SpoolKind;
  readonly entries: number;
  readonly bytes: number;
  readonly upToId: number;
}

/** Makes a subfolder and opens it. Leaves nothing behind on failure. */
export function createSpoolStore(folder: string, owner: Owner | undefined): SpoolStore {
  try {
    createSpoolFolder(folder, owner);
    return openSpoolStore(folder);
  } catch (error) {
    // An adopter that mistook the new folder for an orphan and locked it may keep it.
    if (spoolCodeOf(error) !== 'SPOOL_LOCKED') removeSpoolFolder(folder);
    throw error;
  }
}

/**
 * Opens a subfolder and locks it. Throws at once if another process (or thread) holds it (code SPOOL_LOCKED), if a later
 * version wrote it (SPOOL_LATER_VERSION), or if the folder cannot be written.
 */
export function openSpoolStore(folder: string) {
  const file = spoolFile(folder);
  const db = openLocked(folder);
  const inode = statSync(file).ino;
  let insert: StatementSync | undefined;
  const formerEntries = carryOverFormer();
  const columns = columnsOf(db);
  const kinds = z
    .array(kindRow)
    .parse(
      db
        .prepare(
          `SELECT ${columns.kind} AS kind, count(*) AS entries, sum(bytes) AS bytes, max(bytes) AS largestBytes FROM callbacks GROUP BY 1`,
        )
        .all(),
    );
  const totals = { callback: { entries: 0, bytes: 0 }, quarantine: { entries: formerEntries, bytes: 0 } };
  for (const { kind, entries, bytes } of kinds) count(kind, entries, bytes);
  const largestBytes = kinds.find(({ kind }) => kind === 'callback')?.largestBytes ?? 0;
  /** Entries that were handed over but could not be deleted (a full disk refuses deletes too); they are not returned again. */
  const undeleted = new Map<string, SpoolRange[]>();
  const rangesOf = (queue: SpoolQueue) => undeleted.get(nameOf(queue)) ?? [];
  const floorOf = (queue: SpoolQueue) => rangesOf(queue).at(-1)?.[1] ?? 0;
  const ofQueue = `${columns.kind} = ? AND brand = ?`;

  return {
    folder,
    /** The largest callback in it when it was opened. */
    largestBytes,
    totals: () => totals,

    /** All or none, on disk when this returns; in the same transaction drops the oldest ones of a kind, if given. */
    append(entries: readonly SpoolEntry[], dropped?: Oldest): void {
      transaction(() => {
        if (dropped !== undefined && dropped.entries > 0)
          db.prepare(`DELETE FROM callbacks WHERE ${columns.kind} = ? AND id <= ?`).run(dropped.kind, dropped.upToId);
        for (const entry of entries) insertEntry(entry);
      });
      if (dropped !== undefined) count(dropped.kind, -dropped.entries, -dropped.bytes);
      for (const entry of entries) count(entry.kind, 1, spoolBytesOf(entry));
    },

    /** As `append`, with the ids that they had in another file. An id that is taken is replaced by a new one. */
    restore(entries: readonly (SpoolEntry & Partial<SpooledEntry>)[]): void {
      transaction(() => {
        for (const entry of entries) {
          const { id = Number.POSITIVE_INFINITY } = entry;
          if (id > Number.MAX_SAFE_INTEGER || insertEntry(entry, id) === 0) insertEntry(entry);
        }
      });
      for (const entry of entries) count(entry.kind, 1, spoolBytesOf(entry));
    },

    /** Which oldest entries of a kind to drop to free this many bytes and to keep none from before a time. */
    oldest(kind: SpoolKind, excessBytes: number, notBeforeMs: number): Oldest {
      const oldest = { kind, entries: 0, bytes: 0, upToId: 0 };
      const keptAt = "ifnull(json_extract(data, '$.keptAtMs'), json_extract(data, '$.receivedAtMs'))";
      const rows = db.prepare(
        `SELECT id, bytes, CASE WHEN json_valid(data) THEN ifnull(${keptAt} < ?, 0) ELSE 0 END AS isOld FROM callbacks WHERE ${columns.kind} = ? ORDER BY id`,
      );
      for (const row of rows.iterate(notBeforeMs, kind)) {
        const { id, bytes, isOld } = oldRow.parse(row);
        if (oldest.bytes >= excessBytes && isOld === 0) break;
        oldest.entries += 1;
        oldest.bytes += bytes;
        oldest.upToId = id;
      }
      return oldest;
    },

    queues,

    /** The oldest entries of a queue, after an id if one is given. */
    read(queue: SpoolQueue, limit: number, afterId = 0): SpooledEntry[] {
      const fromId = Math.max(floorOf(queue), afterId);
      const rows = db.prepare(
        `SELECT id, ${columns.kind} AS kind, brand, nonce, data, ${columns.checksum} AS checksum FROM callbacks WHERE ${ofQueue} AND id > ? ORDER BY id LIMIT ?`,
      );
      const entries = takeEntries(rows.iterate(queue.kind, queue.brand, fromId, limit));
      const isHidden =
        entries.length === 0 && fromId === 0 && queues().some((other) => nameOf(other) === nameOf(queue));
      if (isHidden) throw new SpoolDamagedError('The index leads to no row.');
      return entries;
    },

    /** Forgets a queue's entries in a range of ids. Throws if the disk refuses, but never returns them again. */
    remove(queue: SpoolQueue, [fromId, upToId]: SpoolRange): void {
      const range = `FROM callbacks WHERE ${ofQueue} AND id BETWEEN ? AND ?`;
      const removed = totalRow.parse(
        db
          .prepare(`SELECT count(*) AS entries, ifnull(sum(bytes), 0) AS bytes ${range}`)
          .get(queue.kind, queue.brand, Math.max(fromId, floorOf(queue) + 1), upToId),
      );
      const ranges = rangesOf(queue);
      undeleted.set(nameOf(queue), ranges);
      ranges.push([fromId, upToId]);
      count(queue.kind, -removed.entries, -removed.bytes);
      transaction(() => db.prepare(`DELETE ${range}`).run(queue.kind, queue.brand, fromId, upToId));
      ranges.pop();
    },

    /** The job texts of one reference, oldest first. */
    find: (brand: string, gatewayReference: string, limit: number): string[] =>
      z
        .array(dataRow)
        .parse(
          db
            .prepare(`SELECT data FROM callbacks WHERE reference = ? AND ${ofQueue} AND id > ? ORDER BY id LIMIT ?`)
            .all(gatewayReference, 'callback', brand, floorOf({ kind: 'callback', brand }), limit),
        )
        .map(({ data }) => data),

    /** Writes and syncs this many bytes, to test whether the disk takes entries again. Throws if it does not. */
    probe: (bytes: number): void =>
      transaction(() => db.prepare('REPLACE INTO probe (id, filler) VALUES (1, zeroblob(?))').run(bytes)),

    /** False once somebody deleted or replaced the file: what is written now would be lost with the process. */
    isInPlace(): boolean {
      try {
        return statSync(file).ino === inode;
      } catch {
        return false;
      }
    },

    close: (): void => db.close(),

    /** Whether an entry was handed over, even if it is still in the file. */
    isHandedOver: (queue: SpoolQueue, id: number) => rangesOf(queue).some(([from, upTo]) => id >= from && id <= upTo),

    isEmpty: () => Object.values(totals).every(({ entries }) => entries === 0),

    /** Whether the table has rows that its index lacks: part of the index is lost, without an error. */
    hasHiddenRows: (): boolean =>
      ![...undeleted.values()].some((ranges) => ranges.length > 0) &&
      db.prepare('SELECT id FROM callbacks NOT INDEXED LIMIT 1').get() !== undefined,

    /** Closes it and deletes the subfolder, nothing else in it. */
    destroy(): void {
      db.close();
      removeSpoolFolder(folder);
    },
  };

  function transaction(work: () => void): void {
    db.exec('BEGIN IMMEDIATE');
    try {
      work();
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Returns how many were inserted. */
  function insertEntry(entry: SpoolEntry, id: number | null = null): number {
    const { kind, brand, nonce, data } = entry;
    insert ??= db.prepare(
      'INSERT INTO callbacks (id, brand, nonce, bytes, data, checksum, kind) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    );
    return Number(insert.run(id, brand, nonce, spoolBytesOf(entry), data, checksumOf(entry), kind).changes);
  }

  /** Returns how many must stay: a full disk must not block the rest, and the next process tries again. */
  function carryOverFormer(): number {
    const entries = countFormer(db);
    if (entries === 0) return 0;
    try {
      transaction(() => carryOver(db, insertEntry));
      return 0;
    } catch (error) {
      insert = undefined;
      if (spoolCodeOf(error) === 'SPOOL_DISK_FULL') return entries;
      db.close();
      throw error;
    }
  }

  function count(kind: SpoolKind, entries: number, bytes: number): void {
    totals[kind].entries += entries;
    totals[kind].bytes += bytes;
  }

  /** Throws if there are entries but the index has none. */
  function queues(): SpoolQueue[] {
    const rows = db.prepare(`SELECT DISTINCT ${columns.kind} AS kind, brand FROM callbacks`).all();
    if (rows.length === 0 && totals.callback.entries + totals.quarantine.entries > formerEntries)
      throw new SpoolDamagedError('The index leads to no row.');
    return z.array(queueRow).parse(rows);
  }
}

function nameOf({ kind, brand }: SpoolQueue): string {
  return `${kind} ${brand}`;
}

function openLocked(folder: string): DatabaseSync {
  const file = spoolFile(folder);
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    // The order matters: set before the first access, exclusive mode also avoids WAL's shared memory file.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    db.exec('BEGIN EXCLUSIVE');
    if (hidesFrames(`${file}-wal`)) throw new SpoolDamagedError('The log is damaged before its end.');
    ensureLayout(db);
    db.exec('COMMIT');
  } catch (error) {
    if (isDamage(error)) keepWal(folder);
    db.close();
    throw error;
  }
  return db;
}

/** SQLite reads only up to the damage, and deletes its log when it closes. */
function keepWal(folder: string): void {
  const wal = `${spoolFile(folder)}-wal`;
  if (existsSync(wal) && !existsSync(keptWal(folder))) copyFileSync(wal, keptWal(folder));
}
