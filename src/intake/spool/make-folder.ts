// Makes a folder of our own with those above it. Node's `recursive` never returns where a parent takes no folders
// (/proc/x): the thread would spin for ever, and the process could not even exit.
//
// What is stored in a folder is as durable as each name on the way to it: so whoever makes a name syncs its folder.
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import path from 'node:path';

/** Throws what the system says where the folder cannot be made. */
export function makeFolder(folder: string): void {
  if (isFolder(folder)) return;
  const parent = path.dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!isFolder(folder)) throw error; // else another process was faster
  }
  try {
    syncFolder(parent);
  } catch {
    // Names may be made in it that we may not read: then its own file system decides.
  }
}

/** Throws where the folder cannot be read or synced. */
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
