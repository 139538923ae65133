// Makes a folder and its parents. Node's `recursive` never returns if a parent accepts no folders (/proc/x): the thread would
// spin for ever, and the process could not even exit.
//
// A file is only as durable as each name on its path, so the parent of each new folder is synced.
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import path from 'node:path';

/** Throws the system's error if the folder cannot be made. */
export function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  const parent = path.dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!isFolder(folder)) throw error; // else another process made it first
  }
  try {
    syncFolder(parent);
  } catch {
    // The parent may be writable but not readable; then the file system decides when it is durable.
  }
}

/** Throws if the folder cannot be read or synced. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function isFolder(folder: string): boolean {
  try {
    return statSync(folder).isDirectory();
  } catch {
    return false;
  }
}
