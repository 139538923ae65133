// The package `payalo-receiver/inbox`: effectively-once processing in the merchant's own database.
//
// Deliveries are at least once, and a correction may overtake what it corrects. The inbox records in the transaction of the
// merchant's own work that an id was seen: either both are committed or neither. Imports nothing of the service and no
// driver: it uses connections that the merchant opened.
import { mysql } from './mysql.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';
import type { Dialect, MysqlConnection, PostgresClient, SqliteDatabase } from './dialect.ts';

export type { MysqlConnection, PostgresClient, SqliteDatabase } from './dialect.ts';

/** From the headers of a delivery: `webhook-id`, `payalo-gateway-reference` and `payalo-sequence`. */
export interface InboxDelivery {
  readonly webhookId: string;
  readonly gatewayReference: string;
  /** 0; 1, 2, ... for corrections. The header's text is accepted as well. */
  readonly sequence: number | string;
}

export type InboxOutcome =
  /** The work was done and the id recorded, in one transaction. */
  | 'done'
  /** This id was seen before: nothing was done. */
  | 'duplicate'
  /** A higher sequence of this reference was seen before: nothing was done. */
  | 'outdated';

export interface Inbox<Client> {
  /** The SQL of the one table; safe to run repeatedly. */
  readonly migration: string;
  /**
   * Runs `work` in one transaction and records the id in it, unless this id or a higher sequence of this reference was seen.
   * Waits while another connection works on the same reference. If `work` throws, both are rolled back and the error is
   * thrown. `client` must have no open transaction; calls on one client run one after the other.
   */
  once(client: Client, delivery: InboxDelivery, work: (client: Client) => unknown): Promise<InboxOutcome>;
}

export interface InboxOptions<Name extends string> {
  /** `postgres` for `pg`, `mysql` for `mysql2/promise` (MySQL and MariaDB), `sqlite` for `node:sqlite`. */
  readonly dialect: Name;
}

export function createInbox(options: InboxOptions<'postgres'>): Inbox<PostgresClient>;
export function createInbox(options: InboxOptions<'mysql'>): Inbox<MysqlConnection>;
export function createInbox(options: InboxOptions<'sqlite'>): Inbox<SqliteDatabase>;
export function createInbox({ dialect }: InboxOptions<string>): unknown {
  switch (dialect) {
    case 'postgres':
      return inboxOf(postgres);
    case 'mysql':
      return inboxOf(mysql);
    case 'sqlite':
      return inboxOf(sqlite);
    default:
      throw new TypeError(`There is no dialect ${JSON.stringify(dialect)}; use postgres, mysql or sqlite.`);
  }
}

function inboxOf<Client extends object>(dialect: Dialect<Client>): Inbox<Client> {
  /** The end of the last call of each client: two transactions cannot share a connection. */
  const lastCalls = new WeakMap<Client, Promise<unknown>>();

  async function once(client: Client, delivery: InboxDelivery, work: (client: Client) => unknown) {
    const seen = checked(delivery);
    if (await dialect.isInTransaction(client))
      throw new Error(
        'The connection has an open transaction; once() begins its own, so pass a connection without one.',
      );
    await dialect.begin(client);
    try {
      const known = await dialect.lock(client, seen);
      const outcome = known.hasId ? 'duplicate' : known.highest > seen.sequence ? 'outdated' : 'done';
      if (outcome === 'done') {
        await dialect.note(client, seen);
        await work(client);
      }
      await dialect.commit(client);
      return outcome;
    } catch (error) {
      await dialect.rollback(client).catch(() => undefined); // the connection may be lost, and the transaction with it
      throw error;
    }
  }

  return {
    migration: dialect.migration,
    async once(client, delivery, work) {
      const before = lastCalls.get(client);
      const call = Promise.resolve(before).then(() => once(client, delivery, work));
      lastCalls.set(
        client,
        call.catch(() => undefined),
      );
      return call;
    },
  };
}

function checked({ webhookId, gatewayReference, sequence }: InboxDelivery) {
  const number = typeof sequence === 'string' && /^\d{1,9}$/.test(sequence) ? Number(sequence) : sequence;
  if (typeof webhookId !== 'string' || webhookId === '')
    throw new TypeError('webhookId must be the text of webhook-id.');
  if (typeof gatewayReference !== 'string' || gatewayReference === '')
    throw new TypeError('gatewayReference must be the text of payalo-gateway-reference.');
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0)
    throw new TypeError('sequence must be the number of payalo-sequence: 0, 1, 2, ...');
  return { webhookId, gatewayReference, sequence: number };
}
