// The table of a spool's file, and how its rows are read: a row that was changed since it was written is never returned.
//
// Layout 1. In layout 0 the table has no kind (each row is a callback), and at first no checksum; refused requests are in a table
// of their own (spool-layout-0.ts). The table keeps its old name: after a rollback, a release that knows layout 0 drains the
// callbacks in it and sets the rest aside in the quarantine.
import type { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';
import { SpoolDamagedError, SpoolLaterVersionError } from './spool-code.ts';
import { checksumOf, spoolBytesOf, spoolKinds, type SpooledEntry } from './spool-entry.ts';

const readBytesMax = 1024 * 1024;
const layout = 1;

const schema = `
  CREATE TABLE callbacks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, nonce TEXT NOT NULL, bytes INTEGER NOT NULL, data TEXT NOT NULL,
    checksum INTEGER, kind TEXT NOT NULL,
    reference TEXT GENERATED ALWAYS AS (CASE WHEN json_valid(data) THEN json_extract(data, '$.gatewayReference') END) VIRTUAL
  );
  CREATE INDEX by_brand ON callbacks (kind, brand, id, bytes);
  CREATE INDEX by_reference ON callbacks (reference);
  CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL);
  PRAGMA user_version = ${layout};
`;

const kind = z.enum(spoolKinds);
const entryRow = z.object({
  id: z.number(),
  kind,
  brand: z.string(),
  nonce: z.string(),
  data: z.string(),
  /** Null in rows of an early version. */
  checksum: z.number().nullable(),
});
const total = { entries: z.number(), bytes: z.number() };
export const totalRow = z.object(total);
export const kindRow = z.object({ ...total, kind, largestBytes: z.number() });
export const queueRow = z.object({ kind, brand: z.string() });
export const dataRow = z.object({ data: z.string() });
export const oldRow = z.object({ id: z.number(), bytes: z.number(), isOld: z.number() });

/** Creates the table in a new file. Throws if a later version created it. */
export function ensureLayout(db: DatabaseSync): void {
  const made = z.object({ user_version: z.number() }).parse(db.prepare('PRAGMA user_version').get()).user_version;
  if (made > layout) throw new SpoolLaterVersionError(`Written in layout ${made}; this version knows ${layout}.`);
  if (namesOf(db).size === 0) db.exec(schema);
}

/** The columns to select: on a full disk no column can be added. */
export function columnsOf(db: DatabaseSync) {
  const names = namesOf(db);
  return {
    kind: names.has('kind') ? 'kind' : "'callback'",
    checksum: names.has('checksum') ? 'checksum' : 'NULL',
  };
}

/** Converts layout 0 to layout 1. */
export function addColumns(db: DatabaseSync): void {
  if (!namesOf(db).has('checksum')) db.exec('ALTER TABLE callbacks ADD COLUMN checksum INTEGER');
  db.exec("ALTER TABLE callbacks ADD COLUMN kind TEXT NOT NULL DEFAULT 'callback'");
  db.exec(`PRAGMA user_version = ${layout}`);
}

function namesOf(db: DatabaseSync): Set<unknown> {
  return new Set(
    db
      .prepare("SELECT name FROM pragma_table_info('callbacks')")
      .all()
      .map(({ name }) => name),
  );
}

/** Entries up to the limit on bytes in memory; at least one. Throws if one was changed since it was written. */
export function takeEntries(rows: Iterable<unknown>): SpooledEntry[] {
  const taken: SpooledEntry[] = [];
  let bytes = 0;
  for (const row of rows) {
    const { checksum, ...entry } = entryRow.parse(row);
    if (checksum !== null && checksum !== checksumOf(entry))
      throw new SpoolDamagedError('A row was changed since it was written.');
    bytes += spoolBytesOf(entry);
    if (taken.length > 0 && bytes > readBytesMax) break;
    taken.push(entry);
  }
  return taken;
}
