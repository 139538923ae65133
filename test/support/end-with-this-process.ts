// Kills a child when this process ends, however it ends (even by SIGKILL).
//
// A shell waits for a word on a pipe. If the word arrives, the child has ended and its process id may have been reused;
// if the pipe ends without it, this process is gone.
import { spawn, type ChildProcess } from 'node:child_process';

export function endWithThisProcess(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  const guard = spawn('/bin/sh', ['-c', 'read -r released || kill -9 "$0"', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // Ctrl-C in the terminal must not end the guard first
  });
  guard.stdin.on('error', () => undefined); // the guard may have ended before the word is written
  guard.on('error', () => child.kill('SIGKILL'));
  guard.unref();
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') guard.stdin.unref();
  child.once('exit', () => guard.stdin.end('released\n'));
}
