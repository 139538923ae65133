// Layout 0 kept refused requests in a table of their own, called quarantine. They are carried over once, when such a file
// is opened, under the ids that they have.
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
  /** None in a row that an early version wrote. */
  checksum: z.number().nullish(),
});
const formerMeta = z.looseObject({ id: z.string(), brand: z.string() });
const overheadBytes = 160;

/** How many rows of that table there are. */
export function countFormer(db: DatabaseSync): number {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'quarantine'").get();
  if (known === undefined) return 0;
  return z.object({ rows: z.number() }).parse(db.prepare('SELECT count(*) AS rows FROM quarantine').get()).rows;
}

/** Within a transaction of the caller's. Throws where a row is damaged. */
export function carryOver(db: DatabaseSync, insert: (entry: SpoolEntry) => void): void {
  addColumns(db);
  for (const row of db.prepare('SELECT * FROM quarantine ORDER BY id').iterate()) {
    const entry = entryOfFormer(row);
    if (entry === undefined) throw new SpoolDamagedError('A row is not as it was written.');
    insert(entry);
  }
  db.exec('DROP TABLE quarantine');
}

/** Undefined for what is no such row, or not as it was written. */
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
