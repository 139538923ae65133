// One subfolder of the spool: a SQLite file, held by this process alone.
//
// Owns the file, its lock and its schema. Promises: what `append` returned from is on the disk (one fsync a call);
// the lock is SQLite's own exclusive one, which the kernel drops when the process dies, so a subfolder whose owner
// was killed can be opened by another process at once and by two never. Runs in the spool's thread and in the CLI,
// never on the main thread of the service. Fails by throwing; `spoolCodeOf` (spool-code.ts) names the reason.
import { copyFileSync, existsSync, statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import * as z from 'zod';
import { isDamage, spoolCodeOf, SpoolDamagedError } from './spool-code.ts';
import {
  checksumOf,
  quarantineBytesOf,
  quarantineChecksumOf,
  spoolBytesOf,
  type SpooledEntry,
  type SpooledQuarantineEntry,
  type SpoolEntry,
  type SpoolQuarantineEntry,
} from './spool-entry.ts';
import { createSpoolFolder, keptWal, removeSpoolFolder, spoolFile } from './spool-folder.ts';
import type { Owner } from './spool-owner.ts';
import { hidesFrames } from './spool-pages.ts';
import {
  brandRow,
  checksumColumn,
  dataRow,
  entryRow,
  largestRow,
  quarantineRow,
  schema,
  soundRow,
  takeBytes,
  totalRow,
} from './spool-rows.ts';

export type SpoolStore = ReturnType<typeof openSpoolStore>;

/** Makes a subfolder and opens it. Leaves nothing behind where that fails. */
export function createSpoolStore(folder: string, owner: Owner | undefined): SpoolStore {
  try {
    createSpoolFolder(folder, owner);
    return openSpoolStore(folder);
  } catch (error) {
    // An adopter that took the new folder for an orphan and locked it may have it.
    if (spoolCodeOf(error) !== 'SPOOL_LOCKED') removeSpoolFolder(folder);
    throw error;
  }
}

/**
 * Opens a subfolder and locks it. Throws at once where another process (or thread) holds it (code SPOOL_LOCKED), and
 * where the folder cannot be written.
 */
export function openSpoolStore(folder: string) {
  const file = spoolFile(folder);
  const db = openLocked(folder);
  const inode = statSync(file).ino;
  const checksums = { callbacks: checksumColumn(db, 'callbacks'), quarantine: checksumColumn(db, 'quarantine') };
  // Only what this version made is written to.
  let insert: StatementSync | undefined;
  let insertQuarantine: StatementSync | undefined;
  // What was handed over but could not be deleted (a full disk refuses deletes too): not given out again.
  const handedOver = new Map<string, number>();
  let deletesRefused = false;
  const floorOf = (brand: string) => handedOver.get(brand) ?? 0;
  const quarantineFloor = '\u0000quarantine';
  const callbacks = totalRow.parse(
    db.prepare('SELECT count(*) AS entries, ifnull(sum(bytes), 0) AS bytes FROM callbacks').get(),
  );
  const largestBytes = largestRow.parse(db.prepare('SELECT ifnull(max(bytes), 0) AS bytes FROM callbacks').get()).bytes;
  const quarantine = totalRow.parse(
    db.prepare('SELECT count(*) AS entries, ifnull(sum(bytes), 0) AS bytes FROM quarantine').get(),
  );

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

  return {
    folder,
    /** Of the callbacks that lay in it when it was opened. */
    largestBytes,
    totals: () => ({ ...callbacks, quarantineEntries: quarantine.entries, quarantineBytes: quarantine.bytes }),

    /** All or none, on the disk when this returns. */
    append(entries: readonly SpoolEntry[]): void {
      transaction(() => {
        for (const entry of entries) insertEntry(null, entry);
      });
      count(entries);
    },

    /** As `append`, under the ids that they had in another file. An id that is taken is replaced by a new one. */
    restore(entries: readonly SpooledEntry[]): void {
      transaction(() => {
        for (const entry of entries)
          if (entry.id > Number.MAX_SAFE_INTEGER || insertEntry(entry.id, entry) === 0) insertEntry(null, entry);
      });
      count(entries);
    },

    /** Drops the oldest and the overaged to make room. Returns how many were dropped. */
    appendQuarantine(entry: SpoolQuarantineEntry, { maxBytes, notBeforeMs }: QuarantineBounds): number {
      const bytes = quarantineBytesOf(entry);
      const excess = quarantine.bytes + bytes - maxBytes;
      const dropped = oldestQuarantine(excess, notBeforeMs);
      transaction(() => {
        if (dropped.entries > 0) db.prepare('DELETE FROM quarantine WHERE id <= ?').run(dropped.upToId);
        insertQuarantine ??= db.prepare(
          'INSERT INTO quarantine (at, bytes, meta, body, checksum) VALUES (?, ?, ?, ?, ?)',
        );
        insertQuarantine.run(entry.atMs, bytes, entry.meta, entry.body, quarantineChecksumOf(entry));
      });
      quarantine.entries += 1 - dropped.entries;
      quarantine.bytes += bytes - dropped.bytes;
      return dropped.entries;
    },

    brands,

    /** The oldest entries of a brand, behind an id where one is given. */
    read(brand: string, limit: number, behindId = 0): SpooledEntry[] {
      const fromId = Math.max(floorOf(brand), behindId);
      const rows = db.prepare(
        `SELECT id, brand, nonce, data, ${checksums.callbacks} FROM callbacks WHERE brand = ? AND id > ? ORDER BY id LIMIT ?`,
      );
      const entries = takeBytes(
        rows.iterate(brand, fromId, limit),
        (row) => soundRow(entryRow.parse(row), checksumOf),
        spoolBytesOf,
      );
      const isHidden =
        entries.length === 0 && behindId <= floorOf(brand) && !deletesRefused && brands().includes(brand);
      if (isHidden) throw new SpoolDamagedError('The index leads to no row.');
      return entries;
    },

    /** Forgets a brand's entries of a range of ids. Throws where the disk refuses, yet never gives them out again. */
    remove(brand: string, fromId: number, upToId: number): void {
      const wereRefused = deletesRefused;
      const removed = totalRow.parse(
        db
          .prepare(
            'SELECT count(*) AS entries, ifnull(sum(bytes), 0) AS bytes FROM callbacks WHERE brand = ? AND id BETWEEN ? AND ?',
          )
          .get(brand, Math.max(fromId, floorOf(brand) + 1), upToId),
      );
      handedOver.set(brand, Math.max(floorOf(brand), upToId));
      callbacks.entries -= removed.entries;
      callbacks.bytes -= removed.bytes;
      deletesRefused = true;
      transaction(() =>
        db.prepare('DELETE FROM callbacks WHERE brand = ? AND id BETWEEN ? AND ?').run(brand, fromId, upToId),
      );
      deletesRefused = wereRefused;
    },

    readQuarantine: (limit: number, behindId = 0): SpooledQuarantineEntry[] =>
      takeBytes(
        db
          .prepare(
            `SELECT id, at AS atMs, meta, body, ${checksums.quarantine} FROM quarantine WHERE id > ? ORDER BY id LIMIT ?`,
          )
          .iterate(Math.max(floorOf(quarantineFloor), behindId), limit),
        (row) => soundRow(quarantineRow.parse(row), quarantineChecksumOf),
        quarantineBytesOf,
      ),

    removeQuarantine(fromId: number, upToId: number): void {
      const removed = totalRow.parse(
        db
          .prepare(
            'SELECT count(*) AS entries, ifnull(sum(bytes), 0) AS bytes FROM quarantine WHERE id BETWEEN ? AND ?',
          )
          .get(Math.max(fromId, floorOf(quarantineFloor) + 1), upToId),
      );
      handedOver.set(quarantineFloor, Math.max(floorOf(quarantineFloor), upToId));
      quarantine.entries -= removed.entries;
      quarantine.bytes -= removed.bytes;
      transaction(() => db.prepare('DELETE FROM quarantine WHERE id BETWEEN ? AND ?').run(fromId, upToId));
    },

    /** The job texts of one reference, oldest first. */
    find: (brand: string, gatewayReference: string, limit: number): string[] =>
      z
        .array(dataRow)
        .parse(
          db
            .prepare('SELECT data FROM callbacks WHERE reference = ? AND brand = ? AND id > ? ORDER BY id LIMIT ?')
            .all(gatewayReference, brand, floorOf(brand), limit),
        )
        .map(({ data }) => data),

    /** Writes and syncs so many bytes: whether the disk takes entries again. Throws where it does not. */
    probe: (bytes: number): void =>
      transaction(() => db.prepare('REPLACE INTO probe (id, filler) VALUES (1, zeroblob(?))').run(bytes)),

    /** False once somebody deleted or replaced the file: what is written now would be gone with the process. */
    isInPlace(): boolean {
      try {
        return statSync(file).ino === inode;
      } catch {
        return false;
      }
    },

    close: (): void => db.close(),
    /** Whether an entry was handed over, though it may still lie here. */
    isHandedOver: (brand: string, id: number) => deletesRefused && id <= floorOf(brand),

    /** Whether a table has rows where its index knows of none: part of the index is gone, in silence. */
    hidesRows: (): boolean =>
      !deletesRefused &&
      ['callbacks', 'quarantine'].some(
        (table) => db.prepare(`SELECT id FROM ${table} NOT INDEXED LIMIT 1`).get() !== undefined,
      ),

    /** Closes it and deletes the subfolder, nothing else in it. */
    destroy(): void {
      db.close();
      removeSpoolFolder(folder);
    },
  };

  /** Returns how many were inserted. */
  function insertEntry(id: number | null, entry: SpoolEntry): number {
    const { brand, nonce, data } = entry;
    insert ??= db.prepare(
      'INSERT INTO callbacks (id, brand, nonce, bytes, data, checksum) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    );
    return Number(insert.run(id, brand, nonce, spoolBytesOf(entry), data, checksumOf(entry)).changes);
  }

  function count(entries: readonly SpoolEntry[]): void {
    callbacks.entries += entries.length;
    for (const entry of entries) callbacks.bytes += spoolBytesOf(entry);
  }

  /** Throws where there are entries, and the index knows of none. */
  function brands(): string[] {
    const rows = z.array(brandRow).parse(db.prepare('SELECT DISTINCT brand FROM callbacks').all());
    if (rows.length === 0 && callbacks.entries > 0) throw new SpoolDamagedError('The index leads to no row.');
    return rows.map(({ brand }) => brand);
  }

  function oldestQuarantine(excessBytes: number, notBeforeMs: number) {
    const oldest = { entries: 0, bytes: 0, upToId: 0 };
    const rows = db.prepare('SELECT id, at AS atMs, bytes FROM quarantine WHERE id > ? ORDER BY id');
    for (const row of rows.iterate(floorOf(quarantineFloor))) {
      const { id, atMs, bytes } = z.object({ id: z.number(), atMs: z.number(), bytes: z.number() }).parse(row);
      if (oldest.bytes >= excessBytes && atMs >= notBeforeMs) break;
      oldest.entries += 1;
      oldest.bytes += bytes;
      oldest.upToId = id;
    }
    return oldest;
  }
}

function openLocked(folder: string): DatabaseSync {
  const file = spoolFile(folder);
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    // The order matters: set before the first access, the exclusive mode also keeps WAL's shared memory file away.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    db.exec('BEGIN EXCLUSIVE');
    if (hidesFrames(`${file}-wal`)) throw new SpoolDamagedError('The log is damaged before its end.');
    db.exec(schema);
    db.exec('COMMIT');
  } catch (error) {
    if (isDamage(error)) keepWal(folder);
    db.close();
    throw error;
  }
  return db;
}

/** SQLite reads no further than to the damage, and deletes its log when it closes. */
function keepWal(folder: string): void {
  const wal = `${spoolFile(folder)}-wal`;
  if (existsSync(wal) && !existsSync(keptWal(folder))) copyFileSync(wal, keptWal(folder));
}

export interface QuarantineBounds {
  readonly maxBytes: number;
  readonly notBeforeMs: number;
}
