// Parses a page of the gateway's records one by one, so that a damaged record costs only itself.
//
// The page is split as bytes, by its strings and brackets alone, and each record is parsed separately. So invalid UTF-8, an
// invalid number or a record that is not an object leaves the others as they are, byte for byte. If not even the splits can
// be found (a bracket or a quote is missing), the whole page counts as damaged.
import { isUtf8 } from 'node:buffer';
import * as z from 'zod';
import { parseExact } from '../../callback/decimal.ts';
import { parseTimeMs } from '../../time/parse-time.ts';
import { parseTransaction, transactionBytesMax, type Transaction } from './transaction.ts';

export interface RecordsPage {
  readonly transactions: readonly Transaction[];
  readonly unreadable: readonly UnreadableRecord[];
  /** The cursor of the next page; undefined on the last one. */
  readonly next: string | undefined;
}

export interface UnreadableRecord {
  readonly reason: 'too-large' | 'not-utf8' | 'no-transaction';
  /** If they can be found nevertheless. */
  readonly gatewayReference: string | undefined;
  readonly createdAtMs: number | undefined;
}

/** Undefined if the bytes do not begin like a JSON object: then the answer is not the gateway's. */
export function parseRecordsPage(bytes: Buffer): RecordsPage | 'damaged' | undefined {
  const start = skipBlanks(bytes, bytes.subarray(0, 3).equals(byteOrderMark) ? 3 : 0);
  if (bytes[start] !== openBrace) return undefined;
  const members = cutObject(bytes, start);
  const data = members?.get('data');
  const items = data === undefined ? undefined : cutList(data);
  const cursor = readCursor(members?.get('pages'));
  if (items === undefined || cursor === undefined) return 'damaged';
  const records = items.map(readRecord);
  return {
    transactions: records.filter((record) => 'callback' in record),
    unreadable: records.filter((record) => 'reason' in record),
    next: cursor.next,
  };
}

function readRecord(bytes: Buffer): Transaction | UnreadableRecord {
  if (bytes.length > transactionBytesMax) return unreadable('too-large', bytes);
  if (!isUtf8(bytes)) return unreadable('not-utf8', bytes);
  return parseTransaction(bytes.toString('utf8')) ?? unreadable('no-transaction', bytes);
}

function unreadable(reason: UnreadableRecord['reason'], bytes: Buffer): UnreadableRecord {
  const text = bytes.toString('latin1');
  return {
    reason,
    gatewayReference: /"gatewayReference"\s*:\s*"([!#-[\]-~]{1,255})"/.exec(text)?.[1],
    createdAtMs: parseTimeMs(/"createdAt"\s*:\s*"([\w:.+ -]{10,40})"/.exec(text)?.[1] ?? ''),
  };
}

/** An unreadable cursor is not the end: the pages after it would count as swept. */
const pagesSchema = z.object({ next: z.string().nullish() }).nullish();

/** A number is kept as its own text. Undefined if it cannot be read. */
function readCursor(bytes: Buffer | undefined): { readonly next: string | undefined } | undefined {
  try {
    const pages = pagesSchema.safeParse(bytes === undefined ? undefined : parseExact(bytes.toString('utf8')));
    return pages.success ? { next: pages.data?.next || undefined } : undefined;
  } catch {
    return undefined;
  }
}

const byteOrderMark = Buffer.from('\uFEFF');
/** A page has at most 5,000 records. */
const itemsMax = 100_000;
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c];

/** The members of the object that begins at `start`; undefined if its end cannot be found. */
function cutObject(bytes: Buffer, start: number): Map<string, Buffer> | undefined {
  const members = new Map<string, Buffer>();
  let at = skipBlanks(bytes, start + 1);
  while (bytes[at] === quote) {
    const keyEnd = endOfString(bytes, at);
    const key = bytes.toString('latin1', at + 1, keyEnd - 1);
    at = skipBlanks(bytes, keyEnd);
    if (bytes[at] !== colon) return undefined;
    at = skipBlanks(bytes, at + 1);
    const end = endOfValue(bytes, at);
    if (end === undefined) return undefined;
    members.set(key, bytes.subarray(at, end));
    at = bytes[end] === comma ? skipBlanks(bytes, end + 1) : end;
  }
  return bytes[at] === closeBrace ? members : undefined;
}

/** The items of a list, of any type; undefined if its end cannot be found. */
function cutList(bytes: Buffer): Buffer[] | undefined {
  if (bytes[0] !== openBracket) return undefined;
  const items: Buffer[] = [];
  let at = skipBlanks(bytes, 1);
  if (bytes[at] === closeBracket) return items;
  for (;;) {
    const end = endOfValue(bytes, at);
    if (end === undefined || bytes[end] === closeBrace || items.length >= itemsMax) return undefined;
    items.push(bytes.subarray(at, end));
    if (bytes[end] === closeBracket) return items;
    at = skipBlanks(bytes, end + 1);
  }
}

/** The position of the comma or bracket after the value that begins at `start`. */
function endOfValue(bytes: Buffer, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) at = endOfString(bytes, at) - 1;
    else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (depth === 0 && (byte === comma || byte === closeBrace || byte === closeBracket)) return at;
    else if (byte === closeBrace || byte === closeBracket) depth -= 1;
  }
  return undefined;
}

/** The position after the closing quote; after the last byte if there is none. */
function endOfString(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at + 1;
  }
  return bytes.length + 1;
}

function skipBlanks(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return at;
}
