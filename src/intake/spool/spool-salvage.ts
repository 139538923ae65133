// Saves the readable rows of a damaged subfolder into a new one, and keeps the damaged one aside.
//
// Promises: the damaged files are renamed, never deleted (`*.damaged`); after a crash the next try continues (`*.salvage`); an
// entry that is saved twice carries its nonce and is queued once. Throws if the disk refuses.
import { existsSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { checksumOf, spoolBytesOf, spoolKinds, type SpooledEntry, type SpoolEntry } from './spool-entry.ts';
import { keptWal, newSpoolFolder, spoolFile } from './spool-folder.ts';
import { entryOfFormer } from './spool-layout-0.ts';
import { readOwner } from './spool-owner.ts';
import { readRawRows, type RawRow } from './spool-pages.ts';
import { createSpoolStore, type SpoolStore } from './spool-store.ts';

export interface Salvaged {
  /** Undefined if nothing could be read. */
  readonly store: SpoolStore | undefined;
  readonly keptAs: string;
  readonly salvaged: number;
  /** Rows or pages that were found but could not be read. */
  readonly unreadable: number;
}

export type SalvageReport = Omit<Salvaged, 'store'> & { readonly folder: string };

const batchBytes = 1_048_576;

/** @param isHandedOver whether Redis already has an entry that could not be deleted */
export function salvageSpool(
  folder: string,
  close: () => void = () => {},
  isHandedOver: SpoolStore['isHandedOver'] = () => false,
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
      if (entry !== undefined && !isHandedOver(entry, row.id)) saving.take(entry);
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

/** Whether anything of ours can be read from it; otherwise it is left alone. */
export function isSpool(folder: string): boolean {
  let isOurs = false;
  readRawRows(spoolFile(folder), walOf(folder), (row) => {
    isOurs ||= toEntry(row) !== undefined;
  });
  return isOurs;
}

/** Subfolders whose salvage was interrupted. */
export function listUnfinishedSalvages(root: string): string[] {
  return listEnding(root, '.salvage');
}

export function listDamaged(root: string): string[] {
  return listEnding(root, '.damaged');
}

type Salvageable = SpoolEntry & Partial<SpooledEntry>;

/** Without kind and checksum, as the first version wrote them; and with both. */
const columns = { min: 5, max: 7 };

function isOfOurTables({ values }: RawRow): boolean {
  return values.length >= columns.min && values.length <= columns.max && values[0] === null;
}

/** Undefined if the row belongs to another table, or was changed since it was written. */
function toEntry(row: RawRow): Salvageable | undefined {
  if (!isOfOurTables(row)) return undefined;
  const [, brand, nonce, bytes, data, checksum = null, kindText = 'callback'] = row.values;
  if (typeof brand === 'number') return toFormer(row);
  const kind = spoolKinds.find((known) => known === kindText);
  if (kind === undefined || typeof brand !== 'string' || typeof nonce !== 'string' || typeof data !== 'string')
    return undefined;
  const entry = { kind, brand, nonce, data };
  const isSound = spoolBytesOf(entry) === bytes && (checksum ?? checksumOf(entry)) === checksumOf(entry);
  return isSound ? { ...entry, id: row.id } : undefined;
}

/** Under a new id: in layout 0 a callback may have the same one. */
function toFormer({ values: [, at, bytes, meta, body, checksum] }: RawRow): Salvageable | undefined {
  return entryOfFormer({ at, bytes, meta, body, checksum });
}

/** Writes the saved rows to a new subfolder, a batch at a time: a spool may be larger than the memory. */
function createSaving(root: string, from: string) {
  let store: SpoolStore | undefined;
  let batch: Salvageable[] = [];
  let bytes = 0;
  let saved = 0;

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
    /** Undefined if nothing was saved. */
    store: () => store,
    count: () => saved,
    take(entry: Salvageable): void {
      saved += 1;
      batch.push(entry);
      bytes += spoolBytesOf(entry);
      if (bytes >= batchBytes) end();
    },
    end,
    /** The disk is full: frees the room for the next try. */
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
