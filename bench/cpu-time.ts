// The CPU time of a process, user and system, of all its threads, from /proc.
//
// schedstat counts nanoseconds; stat would count hundredths of a second. NaN without /proc: the tables then say so, and
// the ratios are still valid.
import { readFileSync, readdirSync } from 'node:fs';

export function cpuMicroseconds(pid: number): number {
  try {
    const ofThread = (id: string) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]);
    return readdirSync(`/proc/${pid}/task`).reduce((sum, id) => sum + ofThread(id), 0) / 1_000;
  } catch {
    return Number.NaN;
  }
}

/**
 * The involuntary context switches of a process's main thread. With more processes than processors they show the
 * contention.
 */
export function preemptions(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  } catch {
    return Number.NaN;
  }
}

/** Runs an action and returns the CPU time that each process used meanwhile, in microseconds. */
export async function withCpu<T>(
  pids: readonly number[],
  run: () => Promise<T>,
): Promise<{ result: T; cpu: number[] }> {
  const before = pids.map(cpuMicroseconds);
  const result = await run();
  return { result, cpu: pids.map((pid, index) => cpuMicroseconds(pid) - (before[index] ?? Number.NaN)) };
}
