// A process's resident memory, from /proc. NaN without /proc: the tables then say so.
import { readFileSync } from 'node:fs';

export function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024;
  } catch {
    return Number.NaN;
  }
}
