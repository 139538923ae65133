// Reads the rows of a damaged spool file from its raw pages, without SQLite: whichever page is damaged, even the header or an
// index, the rows of all others are found.
//
// The format is SQLite's (https://sqlite.org/fileformat2.html): pages of 4,096 bytes; table leaves of type 13; a newer version
// of a page in the write-ahead log wins if its frame has the log's salt.
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

const pageBytes = 4_096;
const leafType = 13;
const walHeaderBytes = 32;
const frameHeaderBytes = 24;
/** How much of a record is kept on the leaf itself: at most (U - 35) and at least (M). */
const localMax = pageBytes - 35;
const localMin = Math.floor(((pageBytes - 12) * 32) / 255) - 23;

export type Value = string | number | Buffer | null;

export interface RawRow {
  readonly id: number;
  readonly values: readonly Value[];
}

/** Calls back with each readable row, page by page; returns how many were unreadable. Throws if a file cannot be opened. */
export function readRawRows(file: string, walFile: string, onRow: (row: RawRow) => void): number {
  const descriptor = openSync(file, 'r');
  const newer = newerPages(walFile);
  const last = Math.max(Math.ceil(fstatSync(descriptor).size / pageBytes), ...newer.keys(), 0);
  const pageAt = (number: number) => newer.get(number) ?? readPage(descriptor, number);
  let unreadable = 0;
  try {
    for (let number = 1; number <= last; number += 1) {
      const page = pageAt(number);
      if (page === undefined) unreadable += 1;
      else unreadable += readLeaf(page, number === 1 ? 100 : 0, pageAt, onRow);
    }
  } finally {
    closeSync(descriptor);
  }
  return unreadable;
}

/** Page number -> its last version in the log. Frames of an earlier round of the log have another salt. */
function newerPages(walFile: string): Map<number, Buffer> {
  const pages = new Map<number, Buffer>();
  if (!existsSync(walFile)) return pages;
  const wal = readFileSync(walFile);
  const salt = saltOf(wal);
  for (let at = walHeaderBytes; at + frameHeaderBytes + pageBytes <= wal.length; at += frameHeaderBytes + pageBytes) {
    const isCurrent = wal.subarray(at + 8, at + 16).equals(salt);
    if (isCurrent)
      pages.set(wal.readUInt32BE(at), wal.subarray(at + frameHeaderBytes, at + frameHeaderBytes + pageBytes));
  }
  return pages;
}

/** From the log's header or, if that is damaged, from the frames after the damaged ones. */
function saltOf(wal: Buffer): Buffer {
  const frameBytes = frameHeaderBytes + pageBytes;
  const saltAt = (frame: number) =>
    wal.subarray(walHeaderBytes + frame * frameBytes + 8, walHeaderBytes + frame * frameBytes + 16);
  const header = wal.subarray(16, 24);
  if ([0, 1, 2].some((frame) => saltAt(frame).equals(header))) return header;
  return [saltAt(0), saltAt(1)].find((salt) => salt.length > 0 && salt.equals(saltAt(2))) ?? saltAt(2);
}

/**
 * Whether the log has good frames after a damaged one: SQLite reads only up to the damage, and overwrites the rest. A torn end
 * has none. Call it only with the file locked, so that nobody writes.
 */
export function hidesFrames(walFile: string): boolean {
  if (!existsSync(walFile)) return false;
  const wal = readFileSync(walFile);
  if (wal.length < walHeaderBytes) return false;
  const isBig = wal.readUInt32BE(0) === 0x377f0683;
  const readWord = (at: number) => (isBig ? wal.readUInt32BE(at) : wal.readUInt32LE(at));
  const sumOf = (from: number, to: number, [first, second]: Sum): Sum => {
    let [one, two] = [first, second];
    for (let at = from; at < to; at += 8) {
      one = (one + readWord(at) + two) >>> 0;
      two = (two + readWord(at + 4) + one) >>> 0;
    }
    return [one, two];
  };
  const isStoredAt = (at: number, [one, two]: Sum) => wal.readUInt32BE(at) === one && wal.readUInt32BE(at + 4) === two;
  const storedAt = (at: number): Sum => [wal.readUInt32BE(at), wal.readUInt32BE(at + 4)];
  const salt = saltOf(wal);
  let isBroken = !isStoredAt(24, sumOf(0, 24, [0, 0]));
  let seed = storedAt(24);
  for (let at = walHeaderBytes; at + frameHeaderBytes + pageBytes <= wal.length; at += frameHeaderBytes + pageBytes) {
    const end = at + frameHeaderBytes + pageBytes;
    const isGood =
      wal.subarray(at + 8, at + 16).equals(salt) &&
      isStoredAt(at + 16, sumOf(at + frameHeaderBytes, end, sumOf(at, at + 8, seed)));
    if (isGood && isBroken) return true;
    isBroken ||= !isGood;
    seed = storedAt(at + 16);
  }
  return false;
}

type Sum = readonly [number, number];

function readPage(descriptor: number, number: number): Buffer | undefined {
  const page = Buffer.alloc(pageBytes);
  try {
    return readSync(descriptor, page, 0, pageBytes, (number - 1) * pageBytes) === pageBytes ? page : undefined;
  } catch {
    return undefined; // a bad sector
  }
}

type PageAt = (number: number) => Buffer | undefined;

function readLeaf(page: Buffer, start: number, pageAt: PageAt, onRow: (row: RawRow) => void): number {
  if (page[start] !== leafType) return 0;
  const cells = page.readUInt16BE(start + 3);
  let unreadable = 0;
  for (let index = 0; index < cells; index += 1) {
    const row = tryReadCell(page, start + 8 + 2 * index, pageAt);
    if (row === undefined) unreadable += 1;
    else onRow(row);
  }
  return unreadable;
}

function tryReadCell(page: Buffer, pointerAt: number, pageAt: PageAt): RawRow | undefined {
  try {
    return readCell(page, page.readUInt16BE(pointerAt), pageAt);
  } catch {
    return undefined;
  }
}

/** Throws RangeError if it points beyond the data. */
function readCell(page: Buffer, at: number, pageAt: PageAt): RawRow {
  const [size, afterSize] = readVarint(page, at);
  const [id, start] = readVarint(page, afterSize);
  if (size > 256 * 1_048_576) throw new RangeError('no row is that large');
  if (size <= localMax) return { id, values: readRecord(slice(page, start, size)) };
  const surplus = localMin + ((size - localMin) % (pageBytes - 4));
  const local = surplus <= localMax ? surplus : localMin;
  const parts = [slice(page, start, local)];
  let next = page.readUInt32BE(start + local);
  for (let left = size - local; left > 0; left -= pageBytes - 4) {
    const overflow = next === 0 ? undefined : pageAt(next);
    if (overflow === undefined) throw new RangeError('an overflow page is missing');
    parts.push(slice(overflow, 4, Math.min(left, pageBytes - 4)));
    next = overflow.readUInt32BE(0);
  }
  return { id, values: readRecord(Buffer.concat(parts)) };
}

function readRecord(record: Buffer): Value[] {
  const [headerBytes, first] = readVarint(record, 0);
  const values: Value[] = [];
  let body = headerBytes;
  for (let at = first; at < headerBytes;) {
    const [type, next] = readVarint(record, at);
    const size = sizeOf(type);
    values.push(valueOf(type, slice(record, body, size)));
    body += size;
    at = next;
  }
  if (body !== record.length) throw new RangeError('the record has another length');
  return values;
}

const integerBytes = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function sizeOf(type: number): number {
  return type >= 12 ? Math.floor((type - 12) / 2) : (integerBytes[type] ?? 0);
}

function valueOf(type: number, bytes: Buffer): Value {
  if (type === 0) return null;
  if (type === 8 || type === 9) return type - 8;
  if (type === 7) return bytes.readDoubleBE(0);
  if (type === 6) return Number(bytes.readBigInt64BE(0));
  if (type < 12) return bytes.readIntBE(0, bytes.length);
  return type % 2 === 0 ? Buffer.from(bytes) : bytes.toString('utf8');
}

/** At most 8 bytes, enough for our ids and sizes. */
function readVarint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let index = 0; index < 8; index += 1) {
    const byte = bytes.readUInt8(at + index);
    value = value * 128 + (byte % 128);
    if (byte < 128) return [value, at + index + 1];
  }
  throw new RangeError('a varint is too long');
}

function slice(bytes: Buffer, start: number, size: number): Buffer {
  if (start + size > bytes.length) throw new RangeError('beyond its page');
  return bytes.subarray(start, start + size);
}
