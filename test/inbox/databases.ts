// One interface to the three databases, for tests of the inbox: a connection, and plain SQL.
import { DatabaseSync } from 'node:sqlite';
import mysqlDriver from 'mysql2/promise';
import { loadPostgresDriver } from './postgres-driver.ts';
import { createInbox, type InboxDelivery, type InboxOutcome } from '../../src/inbox/inbox.ts';

export const dialects = ['sqlite', 'postgres', 'mysql'] as const;
export type DialectName = (typeof dialects)[number];

export interface Connection {
  once(delivery: InboxDelivery, work: () => unknown): Promise<InboxOutcome>;
  migrate(): Promise<void>;
  run(sql: string): Promise<void>;
  /** The first column of the first row. */
  number(sql: string): Promise<number>;
  close(): Promise<void>;
}

/** Called before each statement that goes to the database. */
export type BeforeStatement = () => void;

export async function connectTo(
  dialect: DialectName,
  where: string,
  beforeStatement: BeforeStatement = () => undefined,
): Promise<Connection> {
  switch (dialect) {
    case 'sqlite':
      return connectSqlite(where, beforeStatement);
    case 'postgres':
      return connectPostgres(where, beforeStatement);
    case 'mysql':
      return connectMysql(where, beforeStatement);
  }
}

function connectSqlite(file: string, beforeStatement: BeforeStatement): Connection {
  const database = new DatabaseSync(file, { timeout: 100 });
  const client = {
    get isTransaction() {
      return database.isTransaction;
    },
    exec(sql: string) {
      beforeStatement();
      database.exec(sql);
    },
    prepare(sql: string) {
      beforeStatement();
      return database.prepare(sql);
    },
  };
  const inbox = createInbox({ dialect: 'sqlite' });
  return {
    once: (delivery, work) => inbox.once(client, delivery, work),
    migrate: async () => database.exec(inbox.migration),
    run: async (sql) => client.exec(sql),
    number: async (sql) => Number(Object.values(database.prepare(sql).get() ?? {})[0]),
    close: async () => database.close(),
  };
}

async function connectPostgres(url: string, beforeStatement: BeforeStatement): Promise<Connection> {
  const { Client } = loadPostgresDriver();
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  const query = client.query.bind(client);
  const watched = {
    async query(text: string, values?: unknown[]) {
      beforeStatement();
      return query(text, values);
    },
  };
  const inbox = createInbox({ dialect: 'postgres' });
  return {
    once: (delivery, work) => inbox.once(watched, delivery, work),
    migrate: async () => void (await client.query(inbox.migration)),
    run: async (sql) => void (await watched.query(sql)),
    number: async (sql) => Number(Object.values((await client.query(sql)).rows[0] ?? {})[0]),
    close: () => client.end(),
  };
}

async function connectMysql(url: string, beforeStatement: BeforeStatement): Promise<Connection> {
  const connection = await mysqlDriver.createConnection(url);
  connection.on('error', () => undefined);
  const watched = {
    async query(sql: string, values?: unknown[]): Promise<[unknown, ...unknown[]]> {
      beforeStatement();
      return connection.query(sql, values);
    },
  };
  const inbox = createInbox({ dialect: 'mysql' });
  return {
    once: (delivery, work) => inbox.once(watched, delivery, work),
    migrate: async () => void (await connection.query(inbox.migration)),
    run: async (sql) => void (await watched.query(sql)),
    async number(sql) {
      const [rows] = await connection.query(sql);
      return Number(Array.isArray(rows) ? Object.values(rows[0] ?? {})[0] : Number.NaN);
    },
    close: () => connection.end(),
  };
}
