// Saves what can be read of a damaged subfolder into a new one, row by row, and keeps the damaged one aside.
//
// Promises: the damaged files are renamed, never deleted (`*.damaged`); a crash in between is made good at the next try
// (`*.salvage`); an entry that comes twice by that carries its nonce and is queued once. Throws where the disk refuses.
import { existsSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import {
  checksumOf,
  quarantineBytesOf,
  quarantineChecksumOf,
  spoolBytesOf,
  type SpooledEntry,
  type SpoolEntry,
  type SpoolQuarantineEntry,
} from './spool-entry.ts';
import { keptWal, newSpoolFolder, spoolFile } from './spool-folder.ts';
import { readOwner } from './spool-owner.ts';
import { readRawRows, type RawRow } from './spool-pages.ts';
import { createSpoolStore, type SpoolStore } from './spool-store.ts';

export interface Salvaged {
  /** Undefined where nothing could be read. */
  readonly store: SpoolStore | undefined;
  readonly keptAs: string;
  readonly salvaged: number;
  /** Rows, or pages, that were found and could not be read. */
  readonly unreadable: number;
}

export type SalvageReport = Omit<Salvaged, 'store'> & { readonly folder: string };

const batchBytes = 1_048_576;

/** @param isHandedOver whether Redis has an entry already, though it could not be deleted */
export function salvageSpool(
  folder: string,
  close: () => void = () => {},
  isHandedOver: (brand: string, id: number) => boolean = () => false,
): Salvaged {
  const base = folder.replace(/\.salvage$/, '');
  const working = `${base}.salvage`;
  if (working !== folder) renameSync(folder, working);
  close();
  const saving = createSaving(path.dirname(folder), working);
  let unreadable = 0;
  try {
    const pages = readRawRows(spoolFile(working), walOf(working), (row) => {
      const entry = toEntry(row);
      const refused = toQuarantined(row);
      if (entry !== undefined && !isHandedOver(entry.brand, row.id)) saving.take({ ...entry, id: row.id });
      else if (refused !== undefined) saving.takeQuarantined(refused);
      else if (entry === undefined && isOfOurTables(row)) unreadable += 1;
    });
    unreadable += pages;
    saving.end();
  } catch (error) {
    saving.drop();
    throw error;
  }
  const keptAs = `${base}.damaged`;
  renameSync(working, keptAs);
  return { store: saving.store(), keptAs, salvaged: saving.count(), unreadable };
}

/** Whether anything of ours can be read of it; what cannot be is left alone. */
export function isSpool(folder: string): boolean {
  let isOurs = false;
  readRawRows(spoolFile(folder), walOf(folder), (row) => {
    isOurs ||= toEntry(row) !== undefined || toQuarantined(row) !== undefined;
  });
  return isOurs;
}

/** Subfolders whose salvage broke off. */
export function listUnfinishedSalvages(root: string): string[] {
  return listEnding(root, '.salvage');
}

export function listDamaged(root: string): string[] {
  return listEnding(root, '.damaged');
}

/** Rows of earlier versions have no checksum. */
const columns = 6;

function isOfOurTables({ values }: RawRow): boolean {
  return (values.length === columns || values.length === columns - 1) && values[0] === null;
}

/** Undefined for a row of another table, or one whose content is not what was written. */
function toEntry(row: RawRow): SpoolEntry | undefined {
  const [, brand, nonce, bytes, data, checksum = null] = row.values;
  if (!isOfOurTables(row)) return undefined;
  if (typeof brand !== 'string' || typeof nonce !== 'string' || typeof data !== 'string') return undefined;
  const entry = { brand, nonce, data };
  return spoolBytesOf(entry) === bytes && (checksum ?? checksumOf(entry)) === checksumOf(entry) ? entry : undefined;
}

function toQuarantined(row: RawRow): SpoolQuarantineEntry | undefined {
  const [, atMs, bytes, meta, body, checksum = null] = row.values;
  if (!isOfOurTables(row)) return undefined;
  if (typeof atMs !== 'number' || typeof meta !== 'string' || !Buffer.isBuffer(body)) return undefined;
  const entry = { atMs, meta, body };
  const isSound = (checksum ?? quarantineChecksumOf(entry)) === quarantineChecksumOf(entry);
  return quarantineBytesOf(entry) === bytes && isSound ? entry : undefined;
}

/** Writes what is saved to a new subfolder, a batch at a time: a spool may be larger than the memory. */
function createSaving(root: string, from: string) {
  let store: SpoolStore | undefined;
  let batch: SpooledEntry[] = [];
  let bytes = 0;
  let saved = 0;
  const bounds = { maxBytes: Number.MAX_SAFE_INTEGER, notBeforeMs: 0 };

  function opened(): SpoolStore {
    const whose = readOwner(from);
    store ??= createSpoolStore(newSpoolFolder(root), whose === 'unmarked' ? undefined : whose);
    return store;
  }

  function end(): void {
    if (batch.length > 0) opened().restore(batch);
    batch = [];
    bytes = 0;
  }

  return {
    /** Undefined where nothing was saved. */
    store: () => store,
    count: () => saved,
    take(entry: SpooledEntry): void {
      saved += 1;
      batch.push(entry);
      bytes += spoolBytesOf(entry);
      if (bytes >= batchBytes) end();
    },
    takeQuarantined(entry: SpoolQuarantineEntry): void {
      saved += 1;
      opened().appendQuarantine(entry, bounds);
    },
    end,
    /** A full disk: the room is needed for the next try. */
    drop: () => store?.destroy(),
  };
}

function walOf(folder: string): string {
  return existsSync(keptWal(folder)) ? keptWal(folder) : `${spoolFile(folder)}-wal`;
}

function listEnding(root: string, ending: string): string[] {
  try {
    return readdirSync(root)
      .filter((name) => name.endsWith(ending))
      .map((name) => path.join(root, name));
  } catch {
    return [];
  }
}
