// Replaces standard output and standard error for the whole process: the log, a library's `console.warn`, a handler
// module's `console.log`, Node's own warnings. Node's streams would buffer unread output without limit, and Node's own
// writes would wait for the reader.
import { Writable } from 'node:stream';
import { createBoundedOutput, type BoundedOutput } from './bounded-output.ts';
import type { Log } from './log.ts';

export interface StandardStreams {
  /** The log's destination. */
  readonly output: BoundedOutput;
  /** From now on Node's warnings go to the log, and so does the number of lines dropped from standard error. */
  tellTo(log: Log): void;
}

export function takeOverStandardStreams(onDropped: (lines: number) => void): StandardStreams {
  const output = createBoundedOutput({ descriptor: 1, onDropped });
  const errors = createBoundedOutput({ descriptor: 2, onDropped });
  replaceStream('stdout', output);
  replaceStream('stderr', errors);
  return {
    output,
    tellTo(log) {
      errors.whenBack((count) => log.error({ event: 'log.lines_dropped', stream: 'stderr', count }));
      process.removeAllListeners('warning');
      process.on('warning', (warning) => logWarning(log, warning));
    },
  };
}

function replaceStream(name: 'stdout' | 'stderr', output: BoundedOutput): void {
  const value = new Writable({
    decodeStrings: false,
    write(chunk: unknown, _encoding, done) {
      output.write(String(chunk));
      done();
    },
  });
  Object.defineProperty(process, name, { value, configurable: true, enumerable: true, writable: false });
}

/** Warnings about Node's experimental or deprecated interfaces only concern developers. */
function logWarning(log: Log, { name, message, ...rest }: Error & { code?: unknown }): void {
  const level = name === 'ExperimentalWarning' || name === 'DeprecationWarning' ? 'debug' : 'warn';
  log[level]({ event: 'process.warning', name, code: rest.code, reason: message });
}
