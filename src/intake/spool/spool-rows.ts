// The tables of a spool's file, and how their rows are read: none is given out that is not as it was written.
import type { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';
import { SpoolDamagedError } from './spool-code.ts';

const readBytesMax = 1024 * 1024;

export const schema = `
  CREATE TABLE IF NOT EXISTS callbacks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, nonce TEXT NOT NULL, bytes INTEGER NOT NULL, data TEXT NOT NULL,
    checksum INTEGER,
    reference TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(data) THEN json_extract(data, '$.gatewayReference') END) VIRTUAL
  );
  CREATE INDEX IF NOT EXISTS by_brand ON callbacks (brand, id, bytes);
  CREATE INDEX IF NOT EXISTS by_reference ON callbacks (reference);
  CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, bytes INTEGER NOT NULL, meta TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER
  );
  CREATE INDEX IF NOT EXISTS quarantine_bytes ON quarantine (id, bytes);
  CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL);
`;

/** None in a row that an earlier version wrote. */
const checksum = z.number().nullable();
export const entryRow = z.object({ id: z.number(), brand: z.string(), nonce: z.string(), data: z.string(), checksum });
export const quarantineRow = z.object({
  id: z.number(),
  atMs: z.number(),
  meta: z.string(),
  body: z.instanceof(Uint8Array),
  checksum,
});
export const totalRow = z.object({ entries: z.number(), bytes: z.number() });
export const largestRow = z.object({ bytes: z.number() });
export const brandRow = z.object({ brand: z.string() });
export const dataRow = z.object({ data: z.string() });

/** What to select as `checksum`: an earlier version's file has none, and a full disk would not let it be added. */
export function checksumColumn(db: DatabaseSync, table: 'callbacks' | 'quarantine'): string {
  const known = db.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = 'checksum'").get(table);
  return known === undefined ? 'NULL AS checksum' : 'checksum';
}

/** Throws where it is not the row that was written. */
export function soundRow<Row extends { readonly checksum: number | null }>(
  { checksum, ...row }: Row,
  checksumOf: (row: Omit<Row, 'checksum'>) => number,
): Omit<Row, 'checksum'> {
  if (checksum !== null && checksum !== checksumOf(row)) throw new SpoolDamagedError('A row is not as it was written.');
  return row;
}

/** Rows until they hold as many bytes as may be in memory at once; at least one. */
export function takeBytes<Row>(
  rows: Iterable<unknown>,
  parse: (row: unknown) => Row,
  bytesOf: (row: Row) => number,
): Row[] {
  const taken: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    const read = parse(row);
    bytes += bytesOf(read);
    if (taken.length > 0 && bytes > readBytesMax) break;
    taken.push(read);
  }
  return taken;
}
