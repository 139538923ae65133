// The doctor's checks of the spool folder: whether it is writable, whether writes survive, whether there is room, and whether
// something lies in it that nobody drains.
import { randomBytes } from 'node:crypto';
import { open, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { listSpoolFolders } from '../../intake/spool/spool-folder.ts';
import { listDamaged } from '../../intake/spool/spool-salvage.ts';
import { describeOwner, foreignFolders, ownerOf, type FolderOwner } from '../../intake/spool/spool-owner.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { readDeploymentId } from '../../redis/deployment-id.ts';
import type { Config } from '../../config/config.ts';
import { ok, problem, warning, type Check } from './check.ts';
import { makeFolder } from '../../intake/spool/make-folder.ts';

export interface SpoolCheckOptions {
  readonly dir: string;
  readonly maxBytes: number;
  readonly production: boolean;
}

export interface SpoolContentsOptions {
  readonly config: Config;
  /** May be down; without it a Redis that moved is not recognized. */
  readonly redis: RedisConnection;
}

const namedMax = 5;
const freeBytesMin = 64 * 1_048_576;

/** The types from statfs(2) on Linux; other systems have other numbers. */
const fileSystems = new Map([
  [0x01021994, { name: 'tmpfs', why: 'it is memory: a restart of the machine or the container empties it' }],
  [0x858458f6, { name: 'ramfs', why: 'it is memory: a restart of the machine empties it' }],
  [0x794c7630, { name: 'overlay', why: 'it belongs to the container and is gone with it' }],
  [0x6969, { name: 'nfs', why: 'its locks may outlive their owner or not work at all' }],
  [0x65735546, { name: 'fuse', why: 'whether it keeps synced data and supports locks depends on what is behind it' }],
]);

export async function checkSpoolFolder({ dir, maxBytes, production }: SpoolCheckOptions): Promise<Check[]> {
  try {
    await writeAndSync(dir);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return [
      problem(
        'spool folder',
        `${dir} cannot be written (${code}).`,
        'Set SPOOL_DIR to a folder on a durable disk that this user may write; in a container, a volume.',
      ),
    ];
  }
  const { type, bavail, bsize } = await statfs(dir);
  return [
    { name: 'spool folder', status: 'ok', detail: `${dir} can be written and synced.`, fix: '' },
    checkFileSystem(dir, type, production),
    checkFreeSpace(bavail * bsize, maxBytes),
  ];
}

/** Checks for entries in SPOOL_DIR that will stay there. */
export async function checkSpoolContents({ config, redis }: SpoolContentsOptions): Promise<Check[]> {
  const id = await readDeploymentId(redis, config);
  const owner = { ...ownerOf(config.redis, config), ...(id !== undefined && { id }) };
  return [
    checkDamage(listDamaged(config.SPOOL_DIR)),
    checkOwners(foreignFolders(listSpoolFolders(config.SPOOL_DIR), owner)),
  ];
}

/** @param damaged the subfolders that were set aside */
export function checkDamage(damaged: readonly string[]): Check {
  const name = 'spool damage';
  if (damaged.length === 0) return ok(name, 'No subfolder was damaged.');
  const some = damaged.slice(0, namedMax).map((folder) => path.basename(folder));
  return warning(
    name,
    `${damaged.length} damaged subfolders were set aside after their readable part was saved: ${some.join(', ')}.`,
    'Check the disk, run `verify` for the period that they cover, then delete them.',
  );
}

function checkOwners(foreign: ReadonlyMap<string, FolderOwner>): Check {
  const name = 'spool owners';
  if (foreign.size === 0) return ok(name, 'No subfolder belongs to another deployment.');
  const some = [...foreign]
    .slice(0, namedMax)
    .map(([folder, whose]) => `${path.basename(folder)} (${describeOwner(whose)})`);
  return warning(
    name,
    `${foreign.size} subfolders belong to another deployment and are not drained here: ${some.join('; ')}.`,
    'Give each deployment a SPOOL_DIR of its own. To drain what is yours anyway: `spool drain --any-owner`.',
  );
}

/** Like the spool: creates a file and syncs it to disk. */
async function writeAndSync(dir: string): Promise<void> {
  makeFolder(dir);
  const file = path.join(dir, `.doctor-${randomBytes(6).toString('hex')}`);
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile('written by the doctor');
    await handle.sync();
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
}

function checkFileSystem(dir: string, type: number, production: boolean): Check {
  const name = 'spool file system';
  const risky = fileSystems.get(type);
  if (risky === undefined) return ok(name, `type 0x${type.toString(16)}`);
  return {
    name,
    status: production ? 'problem' : 'warning',
    detail: `${dir} lies on ${risky.name}: ${risky.why}.`,
    fix: 'Mount a volume of a local disk there, or set SPOOL_DIR to a folder on one.',
  };
}

function checkFreeSpace(freeBytes: number, maxBytes: number): Check {
  const name = 'spool free space';
  const detail = `${Math.round(freeBytes / 1_048_576)} MB free, SPOOL_MAX_BYTES is ${Math.round(maxBytes / 1_048_576)} MB`;
  const fix = 'Free some space, or lower SPOOL_MAX_BYTES to the room on the disk.';
  if (freeBytes < freeBytesMin) return problem(name, detail, fix);
  if (freeBytes < maxBytes) return warning(name, detail, fix);
  return ok(name, detail);
}
