// Layout 0 kept refused requests in a table of their own, called quarantine. They are converted once, when such a file is
// opened, and keep their ids.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import { SpoolDamagedError } from './spool-code.ts';
import type { SpoolEntry } from './spool-entry.ts';
import { addColumns } from './spool-rows.ts';

const formerRow = z.object({
  at: z.number(),
  bytes: z.number(),
  meta: z.string(),
  body: z.instanceof(Uint8Array),
  /** Null in rows of an early version. */
  checksum: z.number().nullish(),
});
const formerMeta = z.looseObject({ id: z.string(), brand: z.string() });
const overheadBytes = 160;

/** The number of rows in that table. */
export function countFormer(db: DatabaseSync): number {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'quarantine'").get();
  if (known === undefined) return 0;
  return z.object({ rows: z.number() }).parse(db.prepare('SELECT count(*) AS rows FROM quarantine').get()).rows;
}

/** Runs in the caller's transaction. Throws if a row is damaged. */
export function carryOver(db: DatabaseSync, insert: (entry: SpoolEntry) => void): void {
  addColumns(db);
  for (const row of db.prepare('SELECT * FROM quarantine ORDER BY id').iterate()) {
    const entry = entryOfFormer(row);
    if (entry === undefined) throw new SpoolDamagedError('A row was changed since it was written.');
    insert(entry);
  }
  db.exec('DROP TABLE quarantine');
}

/** Undefined if it is not such a row, or was changed since it was written. */
export function entryOfFormer(row: unknown): SpoolEntry | undefined {
  const read = formerRow.safeParse(row);
  if (!read.success) return undefined;
  const { at, bytes, meta, body, checksum } = read.data;
  const isSound = (checksum ?? undefined) === undefined || checksum === crc32(body, crc32(`${at}\n${meta}\n`));
  if (!isSound || bytes !== Buffer.byteLength(meta) + body.byteLength + overheadBytes) return undefined;
  const described = formerMeta.safeParse(parseJson(meta));
  const digest = createHash('sha256').update(meta).update(body).digest('base64url');
  const { id, brand, ...rest } = described.success ? described.data : { id: `qspool${digest.slice(0, 16)}`, brand: '' };
  const data = JSON.stringify({ ...rest, body: Buffer.from(body).toString('base64') });
  return { kind: 'quarantine', brand, nonce: id, data };
}
