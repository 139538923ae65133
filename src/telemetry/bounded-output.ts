// Standard output or standard error, written so that the process never waits for its reader.
//
// Promises: `write` returns at once, whatever the reader does: it may not read, may have died, or the disk may be full.
// Lines that cannot be written wait in memory, in order, up to a limit; beyond it they are dropped and counted, and the
// count is reported once there is room again. The lines of one turn of the event loop are written together at its end.
// At exit, what is left is written for a bounded time.
//
// The descriptor must not block, but O_NONBLOCK belongs to everyone who shares the pipe: a shell script around us would
// fail with EAGAIN. So the pipe or terminal is opened again, with a flag of its own. A thread or an asynchronous write
// would not help: a write that blocks there holds up the exit of the process.
import { constants, fstatSync, openSync, writeSync } from 'node:fs';

export interface BoundedOutput {
  /** One or more lines, with their line ends. */
  write(text: string): void;
  /** Writes what the reader accepts now. */
  flushSync(): void;
  /** Calls `tell` with the number of dropped lines as soon as there is room to report it. */
  whenBack(tell: (dropped: number) => void): void;
}

export interface BoundedOutputOptions {
  readonly descriptor: 1 | 2;
  /** Characters that may wait. */
  readonly lengthMax?: number;
  readonly onDropped?: (lines: number) => void;
}

/** A few thousand lines: a few seconds of a busy service. */
const defaultLengthMax = 1_048_576;
/** Beyond this, lines are written before the turn ends. */
const turnLengthMax = 65_536;
/** Delay between tries while the reader does not keep up: short after progress, then doubled. */
const retryMinMs = 5;
const retryMaxMs = 100;
/** Delay between tries after an error: the reader died, the disk is full. */
const errorRetryMs = 1_000;
/** At exit: how long to wait without progress, and in all. */
const exitIdleMs = 500;
const exitMaxMs = 2_000;

type Outcome = 'written' | 'progress' | 'stalled' | 'failed';

export function createBoundedOutput(options: BoundedOutputOptions): BoundedOutput {
  const { descriptor, lengthMax = defaultLengthMax, onDropped } = options;
  const target = openUnblocked(descriptor);
  let waiting = '';
  /** Being written: part of it may already be in the pipe, so it is never dropped. */
  let chunk = Buffer.alloc(0);
  let dropped = 0;
  let isScheduled = false;
  let retryMs = 0;
  let tellBack: ((dropped: number) => void) | undefined;

  const length = () => waiting.length + chunk.length;

  function writeOut(): Outcome {
    let outcome: Outcome = 'stalled';
    try {
      while (length() > 0) {
        if (chunk.length === 0) {
          chunk = Buffer.from(waiting);
          waiting = '';
        }
        chunk = chunk.subarray(writeSync(target, chunk));
        outcome = 'progress';
        reopenAfterGap();
      }
      reopenAfterGap();
      return 'written';
    } catch (error) {
      return isFull(error) ? outcome : 'failed';
    }
  }

  /** Waits until half of the memory is free, so that a slow reader does not see a gap after each line. */
  function reopenAfterGap(): void {
    if (dropped === 0 || length() > lengthMax / 2) return;
    const count = dropped;
    dropped = 0;
    tellBack?.(count);
  }

  function flush(): void {
    isScheduled = false;
    const outcome = writeOut();
    if (outcome === 'written') retryMs = 0;
    else retryLater(outcome);
  }

  function retryLater(outcome: Exclude<Outcome, 'written'>): void {
    if (outcome === 'failed') retryMs = errorRetryMs;
    else if (outcome === 'progress') retryMs = retryMinMs;
    else retryMs = Math.min(Math.max(retryMs * 2, retryMinMs), retryMaxMs);
    isScheduled = true;
    setTimeout(flush, retryMs).unref();
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(flush);
  }

  function drainAtExit(): void {
    const startedAt = performance.now();
    let movedAt = startedAt;
    for (;;) {
      const outcome = writeOut();
      const now = performance.now();
      if (outcome === 'progress') movedAt = now;
      if (outcome === 'written' || outcome === 'failed') return;
      if (now - movedAt > exitIdleMs || now - startedAt > exitMaxMs) return;
      sleepSync(retryMinMs);
    }
  }

  process.on('exit', drainAtExit);
  return {
    write(text) {
      schedule();
      if (dropped > 0 || length() + text.length > lengthMax) {
        const lines = countLines(text);
        dropped += lines;
        onDropped?.(lines);
        return;
      }
      waiting += text;
      if (retryMs === 0 && waiting.length > turnLengthMax) writeOut();
    },
    flushSync: () => void writeOut(),
    whenBack(tell) {
      tellBack = tell;
    },
  };
}

/**
 * A file is used as it is: it never blocks, and opened again it would lose its position. A socket (the journal's, or that
 * of a parent written in Node) cannot be opened again; there Node's own stream sets the shared flag and resets it at exit.
 * The same applies to a pipe that another user owns.
 */
function openUnblocked(descriptor: 1 | 2): number {
  if (fstatSync(descriptor).isFile()) return descriptor;
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${descriptor}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    void (descriptor === 1 ? process.stdout : process.stderr).writable;
    return descriptor;
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}

function countLines(text: string): number {
  return Math.max(text.split('\n').length - 1, 1);
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
