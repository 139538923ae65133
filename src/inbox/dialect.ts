// What the inbox needs from a database, and the types of connections that it accepts.

export interface Seen {
  readonly webhookId: string;
  readonly gatewayReference: string;
  readonly sequence: number;
}

export interface Known {
  /** Whether this id was seen. */
  readonly hasId: boolean;
  /** The highest sequence seen for the reference; -1 if none. */
  readonly highest: number;
}

export interface Dialect<Client> {
  readonly migration: string;
  isInTransaction(client: Client): Promise<boolean>;
  begin(client: Client): Promise<void>;
  /** Waits for every other transaction on this reference, then returns what is known of it. */
  lock(client: Client, seen: Seen): Promise<Known>;
  note(client: Client, seen: Seen): Promise<void>;
  commit(client: Client): Promise<void>;
  rollback(client: Client): Promise<void>;
}

/** `Client` or `PoolClient` of `pg`. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: unknown[] }>;
}

/** `Connection` or `PoolConnection` of `mysql2/promise`. */
export interface MysqlConnection {
  query(sql: string, values?: unknown[]): Promise<[unknown, ...unknown[]]>;
}

/** `DatabaseSync` of `node:sqlite`. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): { get(...values: (string | number)[]): unknown; run(...values: (string | number)[]): unknown };
}

/** A number from a driver that may return it as text. */
export function numberIn(row: unknown, field: string): number {
  const value: unknown = typeof row === 'object' && row !== null ? Reflect.get(row, field) : undefined;
  return value === undefined || value === null ? -1 : Number(value);
}
