// Turns the files of dead processes into what a disk would hold if the power had failed when they died.
//
// `lost`: no unsynced byte has reached the disk. `torn`: unsynced sectors have reached it in any order, some later ones
// without earlier ones. In both cases a new name is gone unless its folder was synced (with `torn`: possibly gone).
// Replaced and deleted files do not come back: a rename onto an existing name counts as done.
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DiskRecord } from './disk-log.ts';

export type Way = 'lost' | 'torn';

export interface LostPower {
  /** Bytes that processes had written and not synced. */
  readonly unsyncedBytes: number;
  readonly namesLost: readonly string[];
}

/** The initial state of the disk: contents by inode. */
export type Disk = ReadonlyMap<bigint, Buffer>;

const sectorBytes = 512;

export function readDisk(folder: string): Disk {
  return new Map(filesBelow(folder).map(({ file, inode }) => [inode, readFileSync(file)]));
}

export interface PowerLoss {
  readonly before: Disk;
  readonly records: readonly DiskRecord[];
  readonly way: Way;
  readonly random: () => number;
}

export function losePower(folder: string, { before, records, way, random }: PowerLoss): LostPower {
  const ofInode = Map.groupBy(records, ({ inode }) => inode);
  const keeps = () => way === 'torn' && random() < 0.5;
  const namesLost: string[] = [];
  for (const { file, inode } of [...foldersBelow(folder), ...filesBelow(folder)]) {
    if (isNamed(inode, ofInode) || keeps() || !existsSync(file)) continue;
    rmSync(file, { recursive: true });
    namesLost.push(path.relative(folder, file));
  }
  let unsyncedBytes = 0;
  for (const { file, inode } of filesBelow(folder)) {
    const history = ofInode.get(inode);
    if (history === undefined) continue;
    const { content, unsynced } = contentOf({ history, before: before.get(inode), left: readFileSync(file), keeps });
    unsyncedBytes += unsynced;
    writeFileSync(file, content);
  }
  return { unsyncedBytes, namesLost };
}

/** Whether the new name of a file, if any, is on the disk. */
function isNamed(inode: bigint, ofInode: ReadonlyMap<bigint, readonly DiskRecord[]>): boolean {
  const name = ofInode.get(inode)?.findLast(({ kind }) => kind === 'born' || kind === 'renamed' || kind === 'replaced');
  if (name?.kind !== 'born' && name?.kind !== 'renamed') return true;
  return lastSync(ofInode.get(name.folder) ?? []) >= name.ended;
}

interface History {
  readonly history: readonly DiskRecord[];
  readonly before: Buffer | undefined;
  /** The file's present content, as every process would have read it. */
  readonly left: Buffer;
  readonly keeps: () => boolean;
}

function contentOf({ history, before, left, keeps }: History) {
  const born = history.findLastIndex(({ kind }) => kind === 'born');
  const own = history.slice(born + 1); // inodes are reused
  const syncedUntil = lastSync(own);
  const changes = own.filter(({ kind }) => kind === 'write' || kind === 'truncate');
  // Written through stdio, which is not logged: at once, and synced as a whole.
  if (changes.length === 0 && born >= 0) return { content: syncedUntil > 0n ? left : Buffer.alloc(0), unsynced: 0 };
  const file = createImage(born >= 0 ? undefined : before);
  let unsynced = 0;
  for (const change of changes) {
    const isSynced = change.ended <= syncedUntil;
    if (change.kind === 'truncate') {
      if (isSynced || keeps()) file.truncate(change.length);
    } else if (change.kind === 'write') {
      if (!isSynced) unsynced += change.bytes.length;
      if (isSynced) file.write(change.at, change.bytes);
      else writeSectors(file, change, keeps);
    }
  }
  return { content: file.content(), unsynced };
}

function writeSectors(file: Image, { at, bytes }: Extract<DiskRecord, { kind: 'write' }>, keeps: () => boolean): void {
  for (let from = 0; from < bytes.length;) {
    const to = Math.min(from + sectorBytes - ((at + from) % sectorBytes), bytes.length);
    if (keeps()) file.write(at + from, bytes.subarray(from, to));
    from = to;
  }
}

type Image = ReturnType<typeof createImage>;

/** The content of a growing file; gaps are zero. */
function createImage(before: Buffer | undefined) {
  let bytes = Buffer.from(before ?? Buffer.alloc(0));
  let length = bytes.length;
  const grow = (needed: number) => {
    if (needed <= bytes.length) return;
    const larger = Buffer.alloc(Math.max(needed, 2 * bytes.length));
    bytes.copy(larger, 0, 0, length);
    bytes = larger;
  };
  return {
    write(at: number, part: Buffer): void {
      grow(at + part.length);
      part.copy(bytes, at);
      length = Math.max(length, at + part.length);
    },
    truncate(to: number): void {
      grow(to);
      bytes.fill(0, to);
      length = to;
    },
    content: () => bytes.subarray(0, length),
  };
}

/** The time until which changes are on the disk. */
function lastSync(records: readonly DiskRecord[]): bigint {
  return records.reduce((latest, { kind, begun }) => (kind === 'sync' && begun > latest ? begun : latest), 0n);
}

function entriesBelow(folder: string) {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    return { entry, file, inode: lstatSync(file, { bigint: true }).ino };
  });
}

function filesBelow(folder: string) {
  return entriesBelow(folder).filter(({ entry }) => entry.isFile());
}

function foldersBelow(folder: string) {
  return entriesBelow(folder).filter(({ entry }) => entry.isDirectory());
}
