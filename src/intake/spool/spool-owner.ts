// Which deployment a spool subfolder belongs to. Several deployments may share one SPOOL_DIR; none drains another's callbacks.
//
// The mark is a small file beside the entries, without user or password. A deployment is recognized by its id, which is stored
// in its Redis and moves with the data, or by the address of its Redis, which survives the loss of that data and is known while
// Redis is down. Both need the same queue name and prefix.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { QueueNaming } from '../../redis/brand-queue.ts';
import type { RedisTarget } from '../../config/redis-url.ts';
import { syncFolder } from './make-folder.ts';

export const ownerSchema = z.object({
  /** Undefined until it was read from Redis. */
  id: z.string().optional(),
  /** Each as `host:port`. */
  servers: z.array(z.string()),
  /** The master's name in Sentinel; '' without Sentinel. */
  master: z.string(),
  db: z.number(),
  queue: z.string(),
});

export type Owner = z.infer<typeof ownerSchema>;

/** `unmarked`: from a version without marks, or the mark cannot be read. */
export type FolderOwner = Owner | 'unmarked';

const markName = 'owner.json';
/** All mark files that may be in a subfolder. */
export const markFiles: readonly string[] = [markName, `${markName}.new`];

export function ownerOf(redis: RedisTarget, { QUEUE_PREFIX, QUEUE_NAME }: QueueNaming): Owner {
  const endpoints = redis.kind === 'standalone' ? [redis.endpoint] : redis.endpoints;
  return {
    servers: endpoints.map(({ host, port }) => `${loopback.has(host) ? '127.0.0.1' : host.toLowerCase()}:${port}`),
    master: redis.kind === 'sentinel' ? redis.masterName : '',
    db: redis.kind === 'cluster' ? 0 : redis.db,
    queue: `${QUEUE_PREFIX}:${QUEUE_NAME}`,
  };
}

const loopback = new Set(['localhost', '127.0.0.1', '::1']);

/** One common server is enough: lists of Sentinels and Cluster nodes are reordered and change. */
export function isSameOwner(one: Owner, other: Owner): boolean {
  if (one.queue !== other.queue) return false;
  if (one.id !== undefined && one.id === other.id) return true;
  const isSamePlace = one.master === other.master && one.db === other.db;
  return isSamePlace && one.servers.some((server) => other.servers.includes(server));
}

/** The folders to leave alone; unmarked ones only if another deployment uses this folder too. Without an owner: none. */
export function foreignFolders(folders: readonly string[], owner: Owner | undefined): Map<string, FolderOwner> {
  if (owner === undefined) return new Map();
  const owners = new Map(folders.map((folder) => [folder, readOwner(folder)]));
  const isShared = [...owners.values()].some((whose) => whose !== 'unmarked' && !isSameOwner(whose, owner));
  return new Map([...owners].filter(([, whose]) => (whose === 'unmarked' ? isShared : !isSameOwner(whose, owner))));
}

export function describeOwner(owner: FolderOwner): string {
  if (owner === 'unmarked') return owner;
  const { servers, master, db, queue } = owner;
  return `${servers.join(',')}/${master === '' ? db : `${master}/${db}`} ${queue}`;
}

/** Replaces the mark atomically. Throws if the disk refuses. */
export function writeOwner(folder: string, owner: Owner): void {
  const file = path.join(folder, `${markName}.new`);
  const descriptor = openSync(file, 'w', 0o600);
  try {
    writeSync(descriptor, JSON.stringify(owner));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(file, path.join(folder, markName));
  syncFolder(folder);
}

export function readOwner(folder: string): FolderOwner {
  try {
    return ownerSchema.parse(JSON.parse(readFileSync(path.join(folder, markName), 'utf8')));
  } catch {
    return 'unmarked';
  }
}
