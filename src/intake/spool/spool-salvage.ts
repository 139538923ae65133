// Saves what can be read of a damaged subfolder into a new one, row by row, and keeps the damaged one aside.
//
// Promises: the damaged files are renamed, never deleted (`*.damaged`); a crash in between is made good at the next try
// (`*.salvage`); an entry that comes twice by that carries its nonce and is queued once. Throws where the disk refuses.
import { existsSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { quarantineBytesOf, spoolBytesOf, type SpoolEntry, type SpoolQuarantineEntry } from './spool-entry.ts';
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
  const entries: (SpoolEntry & { id: number })[] = [];
  const quarantined: (SpoolQuarantineEntry & { id: number })[] = [];
  const wal = existsSync(keptWal(working)) ? keptWal(working) : `${spoolFile(working)}-wal`;
  let unreadable = readRawRows(spoolFile(working), wal, (row) => {
    const entry = toEntry(row);
    const refused = toQuarantined(row);
    if (entry !== undefined && !isHandedOver(entry.brand, row.id)) entries.push({ ...entry, id: row.id });
    else if (refused !== undefined) quarantined.push({ ...refused, id: row.id });
    else if (entry === undefined && row.values.length === columns && row.values[0] === null) unreadable += 1;
  });
  const store = save(path.dirname(folder), working, entries, quarantined);
  const keptAs = `${base}.damaged`;
  renameSync(working, keptAs);
  return { store, keptAs, salvaged: entries.length + quarantined.length, unreadable };
}

/** Whether anything of ours can be read of it; what cannot be is left alone. */
export function isSpool(folder: string): boolean {
  const wal = existsSync(keptWal(folder)) ? keptWal(folder) : `${spoolFile(folder)}-wal`;
  let isOurs = false;
  readRawRows(spoolFile(folder), wal, (row) => {
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

const columns = 5;

/** Undefined for a row of another table, or one whose content is not what was written. */
function toEntry({ values }: RawRow): SpoolEntry | undefined {
  const [id, brand, nonce, bytes, data] = values;
  if (values.length !== columns || id !== null) return undefined;
  if (typeof brand !== 'string' || typeof nonce !== 'string' || typeof data !== 'string') return undefined;
  const entry = { brand, nonce, data };
  return spoolBytesOf(entry) === bytes ? entry : undefined;
}

function toQuarantined({ values }: RawRow): SpoolQuarantineEntry | undefined {
  const [id, atMs, bytes, meta, body] = values;
  if (values.length !== columns || id !== null) return undefined;
  if (typeof atMs !== 'number' || typeof meta !== 'string' || !Buffer.isBuffer(body)) return undefined;
  const entry = { atMs, meta, body };
  return quarantineBytesOf(entry) === bytes ? entry : undefined;
}

function save(
  root: string,
  from: string,
  entries: (SpoolEntry & { id: number })[],
  quarantined: readonly SpoolQuarantineEntry[],
): SpoolStore | undefined {
  if (entries.length + quarantined.length === 0) return undefined;
  const whose = readOwner(from);
  const store = createSpoolStore(newSpoolFolder(root), whose === 'unmarked' ? undefined : whose);
  let batch: SpoolEntry[] = [];
  let bytes = 0;
  for (const entry of entries.toSorted((a, b) => a.id - b.id)) {
    batch.push(entry);
    bytes += spoolBytesOf(entry);
    if (bytes < batchBytes) continue;
    store.append(batch);
    batch = [];
    bytes = 0;
  }
  store.append(batch);
  const bounds = { maxBytes: Number.MAX_SAFE_INTEGER, notBeforeMs: 0 };
  for (const entry of quarantined) store.appendQuarantine(entry, bounds);
  return store;
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
