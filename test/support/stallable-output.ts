// A pipe for a child's standard output whose reader can stop, so that the pipe is full at once.
//
// A named pipe, because Node's own pipes to children are sockets with large buffers. Not on Windows.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';

export type StallableOutput = ReturnType<typeof createStallableOutput>;

/** The size up to which the kernel writes to a pipe atomically. */
const atomicBytes = 4_096;

export function createStallableOutput(dir: string, name: string) {
  const file = path.join(dir, `${name}.pipe`);
  execFileSync('mkfifo', [file]);
  const readEnd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  const writeEnd = openSync(file, constants.O_WRONLY);
  const reader = new Socket({ fd: readEnd, readable: true, writable: false });

  return {
    /** For the child's `stdio`. */
    writeEnd,
    reader,
    /** Stops reading and fills the pipe completely. Returns a function that resumes reading. */
    stall(): () => void {
      reader.pause();
      const filler = openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
      fill(filler);
      closeSync(filler);
      return () => reader.resume();
    },
    close(): void {
      reader.destroy();
      closeSync(writeEnd);
    },
  };
}

function fill(descriptor: number): void {
  const blankLines = Buffer.alloc(atomicBytes, '\n');
  try {
    for (;;) writeSync(descriptor, blankLines);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
  }
}
