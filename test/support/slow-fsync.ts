// Makes every fsync of a running process slow, by attaching strace to it. Needs strace and the right to trace.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether this machine permits tracing a process. */
export function canSlowFsync(): boolean {
  return spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
}

/** Delays each fsync and fdatasync of the processes, until the returned function has resolved. */
export async function slowFsync(pids: readonly number[], delayMs: number): Promise<() => Promise<void>> {
  const calls = 'fsync,fdatasync';
  const inject = `inject=${calls}:delay_enter=${delayMs * 1_000}`;
  const targets = pids.flatMap((pid) => ['-p', String(pid)]);
  const tracer = spawn('strace', ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject, ...targets], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  tracer.stderr.on('data', (text) => (output += String(text)));
  while (!pids.every((pid) => output.includes(`Process ${pid} attached`))) {
    if (tracer.exitCode !== null) throw new Error(`strace did not attach: ${output}`);
    await delay(5);
  }
  return async () => {
    if (tracer.exitCode !== null) return;
    const gone = once(tracer, 'exit');
    tracer.kill('SIGTERM'); // detaches
    await gone;
  };
}
