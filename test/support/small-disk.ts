// A separate file system that can be filled to the last byte: a small tmpfs, if mounting one is permitted.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

export interface SmallDisk {
  readonly dir: string;
  /** False if mounting is not permitted: then it is a plain folder. */
  readonly canBeFilled: boolean;
  /** Fills the disk; returns a function that frees the space. */
  fill(): () => void;
  grow(megabytes: number): void;
  remove(): void;
}

export function makeSmallDisk(dir: string, megabytes: number): SmallDisk {
  mkdirSync(dir, { recursive: true });
  const canBeFilled = tryRun('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'payalo-test', dir]);
  const unmount = () => tryRun('umount', ['-l', dir]);
  if (canBeFilled) process.once('exit', unmount); // also after an interrupted test
  return {
    dir,
    canBeFilled,
    fill(): () => void {
      const file = path.join(dir, 'filler');
      const descriptor = openSync(file, 'w');
      for (const size of [1_048_576, 4_096, 1]) writeUntilFull(descriptor, Buffer.alloc(size));
      closeSync(descriptor);
      return () => rmSync(file);
    },
    grow: (larger) => void tryRun('mount', ['-o', `remount,size=${larger}m`, dir]),
    remove(): void {
      if (!canBeFilled) return;
      process.off('exit', unmount);
      unmount();
    },
  };
}

/** For `test.skipIf`: whether this machine permits mounting one. */
export function canFillDisk(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const dir = `/tmp/payalo-mount-${process.pid}`;
  const disk = makeSmallDisk(dir, 1);
  disk.remove();
  rmSync(dir, { recursive: true, force: true });
  return disk.canBeFilled;
}

function writeUntilFull(descriptor: number, chunk: Buffer): void {
  try {
    for (;;) writeSync(descriptor, chunk);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

function tryRun(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
