// When each transaction's status was last read: the gateway wants at most one call per transaction every two minutes. Bounded
// by the pace of the calls.
import type { Clock } from '../clock.ts';

const keptMs = 120_000;

export function createRecentCalls(clock: Clock) {
  const at = new Map<string, number>();

  return {
    note(reference: string): void {
      const nowMs = clock.elapsed();
      at.delete(reference); // keeps the map ordered by time
      at.set(reference, nowMs);
      for (const [oldest, atMs] of at) {
        if (nowMs - atMs <= keptMs) break;
        at.delete(oldest);
      }
    },
    isWithin(reference: string, ms: number): boolean {
      const atMs = at.get(reference);
      return atMs !== undefined && clock.elapsed() - atMs < ms;
    },
  };
}
