// The subfolders of SPOOL_DIR that this process holds: one of its own to write to, and orphans that it adopted.
//
// Promises: a subfolder whose owner is gone is adopted by whoever looks first (the lock decides); what was adopted is
// older and is read first; an emptied subfolder is deleted, which also gives its space back to the disk. Where the own
// subfolder cannot be opened or fails, `own()` is undefined, `code()` says why, and `maintain` tries again.
import { randomBytes } from 'node:crypto';
import { accessSync, constants, readdirSync } from 'node:fs';
import path from 'node:path';
import { spoolCodeOf } from './spool-code.ts';
import { hasSpoolFile, openSpoolStore, type SpoolStore } from './spool-store.ts';

export type SpoolFolders = ReturnType<typeof createSpoolFolders>;

/**
 * When it was made, in base 36 ms, by a clock that may have been wrong; never the process id, which is 1 in every
 * container.
 */
const namePattern = /^(?<madeAt>[0-9a-z]{1,11})-[0-9a-f]{8}$/;
const openTries = 3;
const probeBytesMin = 32_768;
/** An emptied file that grew beyond this is replaced, since SQLite's files do not shrink. */
const rotateBytes = 8 * 1024 * 1024;

export interface Adopted {
  readonly folder: string;
  readonly entries: number;
}

export function createSpoolFolders(root: string) {
  let own: SpoolStore | undefined;
  let problem: string | undefined;
  let written = 0;
  const adopted: SpoolStore[] = [];

  function openOwn(): void {
    for (let tries = openTries; own === undefined && tries > 0; tries -= 1) {
      const name = `${Math.max(Date.now(), 0).toString(36)}-${randomBytes(4).toString('hex')}`;
      try {
        own = openSpoolStore(path.join(root, name), { create: true });
        problem = undefined;
        written = 0;
      } catch (error) {
        // An adopter may have taken the new folder for an orphan before it was locked: then another name.
        problem = spoolCodeOf(error);
        if (problem !== 'SPOOL_LOCKED' && problem !== 'SPOOL_CANNOT_OPEN') return;
      }
    }
  }

  /** Keeps what it holds readable through the open file, but writes to it no more. */
  function retireOwn(): void {
    if (own !== undefined) adopted.push(own);
    own = undefined;
  }

  return {
    /** The store to write to; undefined while there is none that works. */
    own(): SpoolStore | undefined {
      if (own !== undefined && !own.isInPlace()) {
        retireOwn();
        openOwn();
      }
      return problem === undefined ? own : undefined;
    },
    code: () => problem,
    /** Oldest first. */
    all: (): SpoolStore[] => (own === undefined ? adopted : [...adopted, own]),

    /** After a failed write. A full disk leaves the file sound; after anything else, fsync errors first, it is not trusted. */
    failed(code: string): void {
      problem = code;
      if (code !== 'SPOOL_DISK_FULL') retireOwn();
    },

    wrote(bytes: number): void {
      written += bytes;
    },

    /** Brings the own subfolder back where it failed. */
    maintain(ordinaryBytes: number): void {
      if (own !== undefined && !own.isInPlace()) retireOwn();
      if (own === undefined) openOwn();
      try {
        accessSync(root, constants.W_OK);
        if (problem !== undefined) own?.probe(Math.max(ordinaryBytes, probeBytesMin));
        if (own !== undefined) problem = undefined;
      } catch (error) {
        problem = spoolCodeOf(error);
      }
    },

    /** Takes over every subfolder that nobody holds. */
    adopt(onProblem: (folder: string, code: string) => void): Adopted[] {
      const held = new Set([...adopted, ...(own === undefined ? [] : [own])].map(({ folder }) => folder));
      const taken: Adopted[] = [];
      for (const folder of listSpoolFolders(root)) {
        if (held.has(folder)) continue;
        try {
          const store = openSpoolStore(folder, { create: false });
          adopted.push(store);
          taken.push({ folder, entries: store.totals().entries });
        } catch (error) {
          const code = spoolCodeOf(error);
          if (code !== 'SPOOL_LOCKED') onProblem(folder, code);
        }
      }
      return taken;
    },

    /** Deletes what was emptied. */
    sweep(): void {
      for (const store of [...adopted].filter(isEmpty)) {
        adopted.splice(adopted.indexOf(store), 1);
        store.destroy();
      }
      if (own !== undefined && isEmpty(own) && (written > rotateBytes || problem !== undefined)) {
        own.destroy();
        own = undefined;
        openOwn();
      }
    },

    close(): void {
      for (const store of this.all()) {
        if (isEmpty(store)) store.destroy();
        else store.close();
      }
      own = undefined;
      adopted.length = 0;
      problem = 'SPOOL_CLOSED';
    },
  };
}

function isEmpty(store: SpoolStore): boolean {
  const { entries, quarantineEntries } = store.totals();
  return entries === 0 && quarantineEntries === 0;
}

/** The spool's subfolders below SPOOL_DIR, oldest first; none where it does not exist. */
export function listSpoolFolders(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((item) => item.isDirectory() && namePattern.test(item.name))
      .toSorted((a, b) => madeAtMs(a.name) - madeAtMs(b.name))
      .map((item) => path.join(root, item.name))
      .filter(hasSpoolFile);
  } catch {
    return [];
  }
}

function madeAtMs(name: string): number {
  return Number.parseInt(namePattern.exec(name)?.groups?.['madeAt'] ?? '', 36);
}
