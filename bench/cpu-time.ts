// What a process has used of the processors, user and system time of all its threads, from /proc.
//
// schedstat counts nanoseconds; stat would count hundredths of a second. NaN where there is no /proc: then the tables
// say so, and the ratios still stand.
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
 * How often the main thread of a process had to make room for another one. Where the processes are more than the
 * processors this is what they cost each other.
 */
export function preemptions(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  } catch {
    return Number.NaN;
  }
}

/** Runs something and says what each process used of the processors meanwhile, in microseconds. */
export async function withCpu<T>(
  pids: readonly number[],
  run: () => Promise<T>,
): Promise<{ result: T; cpu: number[] }> {
  const before = pids.map(cpuMicroseconds);
  const result = await run();
  return { result, cpu: pids.map((pid, index) => cpuMicroseconds(pid) - (before[index] ?? Number.NaN)) };
}
