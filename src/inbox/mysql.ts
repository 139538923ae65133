// The inbox in MySQL and MariaDB (InnoDB). See docs/inbox.md for the same by hand.
import { numberIn, type Dialect, type MysqlConnection } from './dialect.ts';

// Binary columns: these servers' collations ignore case or trailing spaces.
const migration = `CREATE TABLE IF NOT EXISTS payalo_inbox (
  gateway_reference varbinary(1020) NOT NULL,
  webhook_id varbinary(255) NOT NULL,
  sequence int NOT NULL,
  seen_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (gateway_reference, webhook_id)
) ENGINE=InnoDB`;

// The row without an id holds the highest sequence. Writing it, even unchanged, locks the reference.
const lock = `INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES (?, '', -1)
ON DUPLICATE KEY UPDATE sequence = sequence`;
const find =
  'SELECT webhook_id = ? AS isId, sequence FROM payalo_inbox WHERE gateway_reference = ? AND webhook_id IN (?, ?)';
const note = 'INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES (?, ?, ?)';
const raise = `UPDATE payalo_inbox SET sequence = GREATEST(sequence, ?) WHERE gateway_reference = ? AND webhook_id = ''`;

/** The error for an unknown savepoint: outside a transaction a savepoint ends with its own statement. */
const noSavepoint = 1305;

export const mysql: Dialect<MysqlConnection> = {
  migration,
  async isInTransaction(client) {
    await client.query('SAVEPOINT payalo_inbox_probe');
    try {
      await client.query('RELEASE SAVEPOINT payalo_inbox_probe');
      return true;
    } catch (error) {
      const errno: unknown = error instanceof Error && 'errno' in error ? error.errno : undefined;
      if (errno === noSavepoint) return false;
      throw error;
    }
  },
  async begin(client) {
    // For the next transaction only. At the default isolation level two new references could wait for each other's gap locks.
    await client.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
    await client.query('START TRANSACTION');
  },
  async lock(client, { gatewayReference, webhookId }) {
    await client.query(lock, [gatewayReference]);
    const [found] = await client.query(find, [webhookId, gatewayReference, webhookId, '']);
    const rows: unknown[] = Array.isArray(found) ? found : [];
    return {
      hasId: rows.some(isId),
      highest: numberIn(
        rows.find((row) => !isId(row)),
        'sequence',
      ),
    };
  },
  async note(client, { gatewayReference, webhookId, sequence }) {
    await client.query(note, [gatewayReference, webhookId, sequence]);
    await client.query(raise, [sequence, gatewayReference]);
  },
  commit: async (client) => void (await client.query('COMMIT')),
  rollback: async (client) => void (await client.query('ROLLBACK')),
};

function isId(row: unknown): boolean {
  return numberIn(row, 'isId') === 1;
}
