// The service's standard output and standard error, for everybody in the process: the log, a library's `console.warn`,
// a handler module's `console.log`, Node's own warnings. Node's streams would keep without limit what nobody reads, and
// what Node writes itself would wait for the reader.
import { Writable } from 'node:stream';
import { createBoundedOutput, type BoundedOutput } from './bounded-output.ts';
import type { Log } from './log.ts';

export interface StandardStreams {
  /** Where the log goes. */
  readonly output: BoundedOutput;
  /** From then on the log has Node's warnings, and says how many lines of standard error were dropped. */
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
      process.on('warning', (warning) => tellWarning(log, warning));
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

/** That an interface of Node's may change one day is news for developers. */
function tellWarning(log: Log, { name, message, ...rest }: Error & { code?: unknown }): void {
  const level = name === 'ExperimentalWarning' || name === 'DeprecationWarning' ? 'debug' : 'warn';
  log[level]({ event: 'process.warning', name, code: rest.code, reason: message });
}
