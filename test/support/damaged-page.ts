// Overwrites a page of a SQLite file, as a failing disk does.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** SQLite's type byte of a page that holds rows. */
const tableLeaf = 0x0d;
const reference = /"gatewayReference":"([^"]+)"/g;

/**
 * Overwrites one page that holds callbacks with meaningless bytes. Returns the references on that page; does nothing and
 * returns none if the file is locked or has no such page.
 */
export function damagePage(file: string, random: number): string[] {
  const pageBytes = foldLog(file);
  if (pageBytes === undefined) return [];
  const bytes = readFileSync(file);
  const pages: number[] = [];
  for (let at = pageBytes; at < bytes.length; at += pageBytes) {
    const page = bytes.subarray(at, at + pageBytes);
    if (page[0] === tableLeaf && page.includes('"gatewayReference":"')) pages.push(at);
  }
  const at = pages[Math.floor(random * pages.length)];
  if (at === undefined) return [];
  const page = bytes.subarray(at, at + pageBytes).toString('latin1');
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(pageBytes, 0xa5), 0, pageBytes, at);
  closeSync(descriptor);
  return [...page.matchAll(reference)].map(([, found = '']) => found);
}

/** Checkpoints the write-ahead log. Returns the page size; undefined if the file is locked. */
function foldLog(file: string): number | undefined {
  try {
    using database = new DatabaseSync(file, { timeout: 0 });
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    return Number(database.prepare('PRAGMA page_size').get()?.['page_size']);
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === 5) return undefined;
    throw error;
  }
}
