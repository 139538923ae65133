// Makes every fsync of a running process slow, by attaching strace to it. Needs strace and the right to trace.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether this machine lets us trace a process. */
export function canSlowFsync(): boolean {
  return spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
}

/** Each fsync and fdatasync of the processes waits this long first, until the returned function has resolved. */
export async function slowFsync(pids: readonly number[], delayMs: number): Promise<() => Promise<void>> {
  const calls = 'fsync,fdatasync';
  const inject = `inject=${calls}:delay_enter=${delayMs * 1_000}`;
  const targets = pids.flatMap((pid) => ['-p', String(pid)]);
  const tracer = spawn('strace', ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject, ...targets], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  tracer.stderr.on('data', (text) => (said += String(text)));
  while (!pids.every((pid) => said.includes(`Process ${pid} attached`))) {
    if (tracer.exitCode !== null) throw new Error(`strace did not attach: ${said}`);
    await delay(5);
  }
  return async () => {
    if (tracer.exitCode !== null) return;
    const gone = once(tracer, 'exit');
    tracer.kill('SIGTERM'); // detaches
    await gone;
  };
}
