// The log: pino's JSON lines on standard output, one wide line per stage per callback.
//
// Promises: never a key, a body or a phone number. Callers pass fields that are safe by construction (references,
// outcomes, durations); redaction is the second lock for what a library or a mistake might add.
import { pino, stdSerializers, type Logger } from 'pino';

export type Log = Logger;

const redactedPaths = [
  'body',
  'apiKey',
  'authorization',
  'msisdn',
  'headers["x-api-key"]',
  'headers.authorization',
  'req.headers',
  '*.body',
  '*.apiKey',
  '*.authorization',
  '*.msisdn',
  '*.headers["x-api-key"]',
  '*.headers.authorization',
];

export interface LogOptions {
  readonly level: string;
  /** Where lines go; standard output without one. */
  readonly destination?: { write(line: string): void };
}

export function createLog({ level, destination }: LogOptions): Log {
  const options = {
    level,
    base: { service: 'payalo-receiver', pid: process.pid },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: errorFields },
    redact: { paths: redactedPaths, censor: '[redacted]' },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** Nothing else of an error: ioredis, for one, adds the command that failed, with a password or a body among its arguments. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { type, message, stack } = stdSerializers.err(error);
  return { type, ...('code' in error && { code: error.code }), message, stack };
}
