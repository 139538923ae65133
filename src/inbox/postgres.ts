// The inbox in PostgreSQL. See docs/inbox.md for the same by hand.
import { numberIn, type Dialect, type PostgresClient } from './dialect.ts';

const migration = `CREATE TABLE IF NOT EXISTS payalo_inbox (
  gateway_reference text NOT NULL,
  webhook_id text NOT NULL,
  sequence integer NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (gateway_reference, webhook_id)
)`;

// The row without an id holds the highest sequence. Writing it, even unchanged, locks the reference.
const lock = `INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES ($1, '', -1)
ON CONFLICT (gateway_reference, webhook_id) DO UPDATE SET sequence = payalo_inbox.sequence
RETURNING sequence`;
const find = 'SELECT 1 AS found FROM payalo_inbox WHERE gateway_reference = $1 AND webhook_id = $2';
const note = 'INSERT INTO payalo_inbox (gateway_reference, webhook_id, sequence) VALUES ($1, $2, $3)';
const raise = `UPDATE payalo_inbox SET sequence = GREATEST(sequence, $2) WHERE gateway_reference = $1 AND webhook_id = ''`;

/** The error for a savepoint outside a transaction (SQLSTATE no_active_sql_transaction). */
const noTransaction = '25P01';

export const postgres: Dialect<PostgresClient> = {
  migration,
  async isInTransaction(client) {
    try {
      await client.query('SAVEPOINT payalo_inbox_probe');
    } catch (error) {
      const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === noTransaction) return false;
      throw error;
    }
    await client.query('RELEASE SAVEPOINT payalo_inbox_probe');
    return true;
  },
  begin: async (client) => void (await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')),
  async lock(client, { gatewayReference, webhookId }) {
    const { rows } = await client.query(lock, [gatewayReference]);
    const found = await client.query(find, [gatewayReference, webhookId]);
    return { hasId: found.rows.length > 0, highest: numberIn(rows[0], 'sequence') };
  },
  async note(client, { gatewayReference, webhookId, sequence }) {
    await client.query(note, [gatewayReference, webhookId, sequence]);
    await client.query(raise, [gatewayReference, sequence]);
  },
  commit: async (client) => void (await client.query('COMMIT')),
  rollback: async (client) => void (await client.query('ROLLBACK')),
};
