// The inbox in SQLite, by node:sqlite. See docs/inbox.md for the same by hand.
import { setTimeout as delay } from 'node:timers/promises';
import { numberIn, type Dialect, type SqliteDatabase } from './dialect.ts';

const migration = `CREATE TABLE IF NOT EXISTS payalo_inbox (
  gateway_reference TEXT NOT NULL,
  webhook_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  seen_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (gateway_reference, webhook_id)
) WITHOUT ROWID`;

const find = 'SELECT 1 AS found FROM payalo_inbox WHERE gateway_reference = ? AND webhook_id = ?';
const highest = 'SELECT max(sequence) AS highest FROM payalo_inbox WHERE gateway_reference = ?';
const note = 'INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES (?, ?, ?)';

const busyWaitMs = 10;
const busyMaxMs = 10_000;
const busyCode = 5; // SQLITE_BUSY

export const sqlite: Dialect<SqliteDatabase> = {
  migration,
  /** BEGIN itself fails inside a transaction; only old versions of Node do not report that beforehand. */
  isInTransaction: async (client) => Reflect.get(client, 'isTransaction') === true,
  /** BEGIN IMMEDIATE makes this the only writer. Waits for another process's write without blocking this one. */
  async begin(client) {
    const deadlineMs = performance.now() + busyMaxMs;
    for (;;) {
      try {
        client.exec('BEGIN IMMEDIATE');
        return;
      } catch (error) {
        const code: unknown = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
        if (code !== busyCode || performance.now() > deadlineMs) throw error;
      }
      await delay(busyWaitMs);
    }
  },
  async lock(client, { gatewayReference, webhookId }) {
    return {
      hasId: client.prepare(find).get(gatewayReference, webhookId) !== undefined,
      highest: numberIn(client.prepare(highest).get(gatewayReference), 'highest'),
    };
  },
  async note(client, { gatewayReference, webhookId, sequence }) {
    client.prepare(note).run(gatewayReference, webhookId, sequence);
  },
  commit: async (client) => client.exec('COMMIT'),
  rollback: async (client) => client.exec('ROLLBACK'),
};
