// The subfolders of SPOOL_DIR that this process holds: its own, which it writes to, and orphans that it adopted.
//
// Promises: a subfolder of this deployment whose process is gone is adopted by whoever looks first (the lock decides); another
// deployment's is left alone; adopted ones are older and are read first; an emptied subfolder is deleted, which also frees its
// disk space. If the own subfolder cannot be opened or fails, `own()` is undefined, `code()` says why, and `maintain` tries again.
import { accessSync, constants } from 'node:fs';
import { isDamage, spoolCodeOf } from './spool-code.ts';
import { listSpoolFolders, newSpoolFolder, removeLeftovers } from './spool-folder.ts';
import { foreignFolders, readOwner, writeOwner, type FolderOwner, type Owner } from './spool-owner.ts';
import { isSpool, listUnfinishedSalvages, salvageSpool, type SalvageReport } from './spool-salvage.ts';
import { createSpoolStore, openSpoolStore, type SpoolStore } from './spool-store.ts';

const openTries = 3;
const probeBytesMin = 32_768;
/** An emptied file larger than this is replaced, since SQLite's files do not shrink. */
const rotateBytes = 8 * 1024 * 1024;

export interface Adopted {
  readonly folder: string;
  readonly entries: number;
}

export interface AdoptListeners {
  readonly onProblem: (folder: string, code: string) => void;
  readonly onForeign: (folder: string, owner: FolderOwner) => void;
}

/** Without an owner it marks nothing and adopts every orphan. */
export function createSpoolFolders(
  root: string,
  initialOwner: Owner | undefined,
  onSalvaged: (saved: SalvageReport) => void,
) {
  let owner = initialOwner;
  let own: SpoolStore | undefined;
  let problem: string | undefined;
  let written = 0;
  const adopted: SpoolStore[] = [];

  function openOwn(): void {
    for (let tries = openTries; own === undefined && tries > 0; tries -= 1) {
      try {
        own = createSpoolStore(newSpoolFolder(root), owner);
        problem = undefined;
        written = 0;
      } catch (error) {
        // An adopter may have mistaken the new folder for an orphan before it was locked: use another name.
        problem = spoolCodeOf(error);
        if (problem !== 'SPOOL_LOCKED' && problem !== 'SPOOL_CANNOT_OPEN') return;
      }
    }
  }

  /** Keeps the open file readable, but no longer writes to it. */
  function retireOwn(): void {
    if (own !== undefined) adopted.push(own);
    own = undefined;
  }

  /** Until Redis has told this deployment's id, a folder with another address may still be ours. */
  function isDecided(whose: FolderOwner): boolean {
    return owner?.id !== undefined || (whose !== 'unmarked' && whose.id === undefined);
  }

  return {
    /** The store to write to; undefined while none works. */
    own(): SpoolStore | undefined {
      if (own !== undefined && !own.isInPlace()) {
        retireOwn();
        openOwn();
      }
      return problem === undefined ? own : undefined;
    },
    code: () => problem,
    /** Oldest first. */
    all: (): SpoolStore[] => (own === undefined ? [...adopted] : [...adopted, own]),

    /** After a failed write. A full disk leaves the file sound; after any other error, above all of fsync, it is not trusted. */
    failed(code: string): void {
      problem = code;
      if (code !== 'SPOOL_DISK_FULL') retireOwn();
    },

    wrote(bytes: number): void {
      written += bytes;
    },

    /** Reopens the own subfolder if it failed. */
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

    /** Sets the deployment's id: from now on subfolders are recognized by it, too. */
    identify(id: string): void {
      if (owner === undefined) return;
      owner = { ...owner, id };
      for (const { folder } of this.all()) mark(folder, owner);
    },

    /** Takes over every subfolder of this deployment that no process holds. */
    adopt({ onProblem, onForeign }: AdoptListeners): Adopted[] {
      const held = new Set(this.all().map(({ folder }) => folder));
      const folders = listSpoolFolders(root);
      const foreign = foreignFolders(folders, owner);
      for (const [folder, whose] of foreign) if (isDecided(whose)) onForeign(folder, whose);
      const taken: Adopted[] = [];
      for (const folder of folders) {
        if (held.has(folder) || foreign.has(folder)) continue;
        try {
          const store = openSpoolStore(folder);
          adopted.push(store);
          taken.push({ folder, entries: store.totals().callback.entries });
        } catch (error) {
          const code = spoolCodeOf(error);
          const isSaved =
            isDamage(error) && (readOwner(folder) !== 'unmarked' || isSpool(folder)) && this.salvage(folder);
          if (code !== 'SPOOL_LOCKED' && !isSaved) onProblem(folder, code);
        }
      }
      const unfinished = listUnfinishedSalvages(root);
      const others = foreignFolders(unfinished, owner);
      for (const folder of unfinished) if (!others.has(folder)) this.salvage(folder);
      removeLeftovers(root);
      return taken;
    },

    /** Saves the readable part of a damaged subfolder, open or not. False if the disk refuses. */
    salvage(damaged: SpoolStore | string): boolean {
      const folder = typeof damaged === 'string' ? damaged : damaged.folder;
      if (typeof damaged !== 'string') {
        if (damaged === own) own = undefined;
        else adopted.splice(adopted.indexOf(damaged), 1);
      }
      try {
        const [close, isHandedOver] = typeof damaged === 'string' ? [] : [damaged.close, damaged.isHandedOver];
        const { store, ...saved } = salvageSpool(folder, close, isHandedOver);
        if (store !== undefined) adopted.push(store);
        onSalvaged({ folder, ...saved });
        return true;
      } catch {
        return false; // tried again with the next look for orphans
      } finally {
        if (own === undefined) openOwn();
      }
    },

    /** Deletes emptied subfolders. */
    sweep(): void {
      for (const store of adopted.filter((candidate) => candidate.isEmpty())) {
        if (hasHiddenRows(store)) {
          this.salvage(store);
          continue;
        }
        adopted.splice(adopted.indexOf(store), 1);
        store.destroy();
      }
      if (own !== undefined && own.isEmpty() && hasHiddenRows(own)) this.salvage(own);
      if (own !== undefined && own.isEmpty() && (written > rotateBytes || problem !== undefined)) {
        own.destroy();
        own = undefined;
        openOwn();
      }
    },

    close(): void {
      for (const store of this.all()) {
        if (store.isEmpty() && !hasHiddenRows(store)) store.destroy();
        else store.close();
      }
      own = undefined;
      adopted.length = 0;
      problem = 'SPOOL_CLOSED';
    },
  };
}

function mark(folder: string, owner: Owner): void {
  try {
    writeOwner(folder, owner);
  } catch {
    // The disk is full: the old mark stays.
  }
}

/** If it cannot be read, it is damaged, too. */
function hasHiddenRows(store: SpoolStore): boolean {
  try {
    return store.hasHiddenRows();
  } catch {
    return true;
  }
}
