// Ties a child's life to ours: when this process ends, however it ends (SIGKILL too), the child is killed.
//
// A shell waits for a word on a pipe. If the word comes, the child ended in order and its process id may belong to
// somebody else by now; if the pipe ends without it, this process is gone.
import { spawn, type ChildProcess } from 'node:child_process';

export function endWithThisProcess(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  const guard = spawn('/bin/sh', ['-c', 'read -r released || kill -9 "$0"', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // a Ctrl-C in the terminal must not end the guard first
  });
  guard.stdin.on('error', () => undefined); // the guard may be gone already when the word is said
  guard.on('error', () => child.kill('SIGKILL'));
  guard.unref();
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') guard.stdin.unref();
  child.once('exit', () => guard.stdin.end('released\n'));
}
