// Groups of fields that several log events share (events.ts), each field with one meaning in all of them.

/** The brand whose callback, queue or gateway the line is about. */
export interface Brand {
  brand: string;
}

export interface Request {
  /** Names one request or one round of work in all of its lines. */
  requestId: string;
}

export interface Reference {
  gatewayReference: string;
}

/** One transaction at the gateway. */
export interface LookUp extends Brand, Reference, Request {}

export interface Failure {
  /** What was thrown. */
  err: unknown;
}

/** A callback that was answered. */
export interface Answered extends LookUp {
  merchantReference: string | null;
  /** What the callback reports; null if it names no status. */
  status: string | null;
  /** From the request's last byte to the answer. */
  ms: number;
}

/** A callback about which the gateway was asked. */
export interface Judged extends LookUp {
  /** The kind of result: `terminal`, or another status by its name. */
  kind: string;
  /** The gateway's status; null if it does not know the transaction. */
  atGateway?: string | null;
}

/** One delivery attempt. */
export interface Attempt extends LookUp {
  webhookId: string;
  attempt: number;
  /** `delivered`, `retried`, `failed`, or `held` by the breaker. */
  verdict: string;
  /** The status of the merchant's answer; absent if there was none. */
  status?: number;
  /** Why there was no answer. */
  error?: string;
  ms: number;
  /** Until the next attempt. */
  waitMs?: number;
}

export interface Job extends Brand {
  jobId: string | undefined;
}

export interface Replay {
  count: number;
  replayed: number;
  remaining: number;
}

/** ISO times. */
export interface Period {
  from: string;
  to: string;
}

export interface Connection {
  /** What uses the connection to Redis. */
  connection: string;
}

/** A subfolder of SPOOL_DIR. */
export interface Folder {
  folder: string;
}

/** What the spool holds. */
export interface SpoolFill {
  dir: string;
  entries: number;
  bytes: number;
}

/** The counts of a sweep. */
export interface Counts {
  seen: number;
  known: number;
  pending: number;
  early: number;
  other: number;
  reversed: number;
  missing: number;
  injected: number;
  corrections: number;
  tooOld: number;
  unconfirmed: number;
  unreadable: number;
  errors: number;
}
