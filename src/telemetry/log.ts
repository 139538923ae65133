// The log: pino's JSON lines on standard output, one wide line per stage per callback.
//
// Promises: never a key, a body or a phone number. Callers pass fields that are safe by construction (references,
// outcomes, durations); redaction is a second safeguard against libraries and mistakes. The lines of one turn of the
// event loop are written together at its end, and at the latest when the process exits; only a SIGKILL loses the lines
// of the current turn. The process never waits for the log's reader: see bounded-output.ts.
import { pino, stdSerializers } from 'pino';
import { createBoundedOutput } from './bounded-output.ts';
import { createIsoTime } from '../time/iso-time.ts';
import type { LogFields } from './events.ts';

type LogMethod = (fields: LogFields) => void;

export type Log = Readonly<Record<'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal', LogMethod>> & {
  /** Adds these fields to each line; `level` overrides the level. */
  child(fields: Readonly<Record<string, unknown>>, options?: { readonly level?: string }): Log;
};

const redacted = new Set(['body', 'apiKey', 'authorization', 'msisdn', 'x-api-key', 'cookie', 'set-cookie']);
const censor = '[redacted]';
/** Deeper than anything that is logged; deeper values are replaced by `[deep]`. */
const depthMax = 6;

export interface LogDestination {
  write(line: string): void;
  /** pino calls it after a fatal line. */
  flushSync?(): void;
  /** Reports dropped lines. */
  whenBack?(tell: (dropped: number) => void): void;
}

export interface LogOptions {
  readonly level: string;
  /** Where lines go; standard output by default. */
  readonly destination?: LogDestination;
}

export function createLog({ level, destination = createBoundedOutput({ descriptor: 1 }) }: LogOptions): Log {
  const isoTime = createIsoTime();
  const options = {
    level,
    base: { service: 'payalo-receiver', pid: process.pid },
    timestamp: () => `,"time":"${isoTime(Date.now())}"`,
    formatters: { level: (label: string) => ({ level: label }), log: redact },
    serializers: { err: (error: unknown) => (isObject(error) ? error : { message: String(error) }) }, // `redact` has already run
  };
  const log = pino(options, destination);
  destination.whenBack?.((count) => log.error({ event: 'log.lines_dropped', stream: 'stdout', count }));
  return log;
}

/** pino's own redaction by paths costs three times the rest of a line; most lines hold plain values and need only a glance. */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  for (const name in fields) {
    if (redacted.has(name) || isObject(fields[name])) return redactWithin(fields, depthMax);
  }
  return fields;
}

function redactWithin(object: object, depth: number): Record<string, unknown> {
  const safe = ([name, value]: [string, unknown]) => [name, redacted.has(name) ? censor : redactValue(value, depth)];
  return Object.fromEntries(Object.entries(object).map(safe));
}

function redactValue(value: unknown, depth: number): unknown {
  if (!isObject(value)) return value;
  if (depth === 0) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth - 1));
  if (value instanceof Error) return errorFields(value);
  return 'toJSON' in value ? value : redactWithin(value, depth - 1);
}

/** Drops every other property: ioredis, for one, adds the failed command, with a password or a body among its arguments. */
function errorFields(error: Error): object {
  const { type, message, stack } = stdSerializers.err(error);
  return { type, ...('code' in error && { code: error.code }), message, stack };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
