// The orders of a sample merchant, in SQLite: each webhook-id takes effect once, and the highest sequence wins; of two
// ids with the same sequence, the later delivery wins.
import { DatabaseSync } from 'node:sqlite';

export interface Payment {
  readonly webhookId: string;
  readonly sequence: number;
  readonly gatewayReference: string;
  readonly status: string;
}

export function openOrders(file = process.env['ORDERS_FILE'] ?? 'orders.sqlite') {
  const database = new DatabaseSync(file);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA busy_timeout = 5000;
    CREATE TABLE IF NOT EXISTS processed (webhook_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS orders (reference TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL);`);
  const remember = database.prepare('INSERT OR IGNORE INTO processed VALUES (?)');
  const book = database.prepare(`INSERT INTO orders VALUES (?, ?, ?)
    ON CONFLICT (reference) DO UPDATE SET status = excluded.status, sequence = excluded.sequence
    WHERE excluded.sequence >= orders.sequence`);

  /** Returns false if this webhook-id was processed before. Both writes are one transaction. */
  return function bookOnce({ webhookId, sequence, gatewayReference, status }: Payment): boolean {
    database.exec('BEGIN IMMEDIATE');
    try {
      const isNew = remember.run(webhookId).changes === 1;
      if (isNew) book.run(gatewayReference, status, sequence);
      database.exec('COMMIT');
      return isNew;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  };
}
