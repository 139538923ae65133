// One subfolder of SPOOL_DIR in the file system: its name, its files, how it is made and deleted.
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { makeFolder, syncFolder } from './make-folder.ts';
import { markFiles, writeOwner, type Owner } from './spool-owner.ts';

/**
 * When it was made, in base 36 ms, by a clock that may have been wrong. Not the process id, which is 1 in every container.
 */
const namePattern = /^(?<madeAt>[0-9a-z]{1,11})-[0-9a-f]{8}$/;
const fileName = 'spool.db';
/** An older folder without entries is left from a start that failed. */
const leftoverMs = 60_000;

export function spoolFile(folder: string): string {
  return path.join(folder, fileName);
}

/** A copy of a damaged file's log, made before SQLite deletes it. */
export function keptWal(folder: string): string {
  return `${spoolFile(folder)}-wal.kept`;
}

export function newSpoolFolder(root: string): string {
  return path.join(root, `${Math.max(Date.now(), 0).toString(36)}-${randomBytes(4).toString('hex')}`);
}

/**
 * SQLite gives a file its existing mode, and the journal its file's mode, so the file is created here, 0600 in 0700. The mark
 * is written first, so that no entry is ever unmarked.
 */
export function createSpoolFolder(folder: string, owner: Owner | undefined): void {
  const root = path.dirname(folder);
  makeFolder(root);
  mkdirSync(folder, { mode: 0o700 });
  if (owner !== undefined) writeOwner(folder, owner);
  closeSync(openSync(spoolFile(folder), 'wx', 0o600));
  // An entry is only as durable as the names on its path.
  syncFolder(folder);
  syncFolder(root);
}

/** Deletes the spool's own files, nothing else in it. */
export function removeSpoolFolder(folder: string): void {
  const files = [...['', '-wal', '-shm', '-journal'].map((suffix) => fileName + suffix), ...markFiles];
  try {
    for (const name of files) rmSync(path.join(folder, name), { force: true });
    rmdirSync(folder);
  } catch {
    // Another program put something there, or deleted it already: not ours to touch.
  }
}

/** The spool's subfolders in SPOOL_DIR, oldest first; none if it does not exist. */
export function listSpoolFolders(root: string): string[] {
  return namesIn(root)
    .map((name) => path.join(root, name))
    .filter((folder) => existsSync(spoolFile(folder)));
}

export function removeLeftovers(root: string): void {
  for (const name of namesIn(root)) {
    const folder = path.join(root, name);
    if (!existsSync(spoolFile(folder)) && isOlderThan(folder, leftoverMs)) removeSpoolFolder(folder);
  }
}

function namesIn(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((item) => item.isDirectory() && namePattern.test(item.name))
      .map(({ name }) => name)
      .toSorted((a, b) => madeAtMs(a) - madeAtMs(b));
  } catch {
    return [];
  }
}

function madeAtMs(name: string): number {
  return Number.parseInt(namePattern.exec(name)?.groups?.['madeAt'] ?? '', 36);
}

function isOlderThan(folder: string, ms: number): boolean {
  try {
    return statSync(folder).mtimeMs < Date.now() - ms;
  } catch {
    return false;
  }
}
