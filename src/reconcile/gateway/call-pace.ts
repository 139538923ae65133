// Keeps the calls to one gateway below its limit: each call takes the next free slot and waits for it. Counted on a
// clock that nobody sets: else a step back by an hour would hold every call for an hour.
import type { Clock } from '../clock.ts';

export interface CallPaceOptions {
  readonly callsPerSecond: number;
  /** As many calls may leave at once after a quiet time. */
  readonly burst: number;
  readonly clock: Clock;
}

export type CallPace = ReturnType<typeof createCallPace>;

export function createCallPace({ callsPerSecond, burst, clock }: CallPaceOptions) {
  const everyMs = 1_000 / callsPerSecond;
  let nextSlotMs = 0;

  /** Resolves when the call may leave. */
  return async function takeSlot(signal: AbortSignal): Promise<void> {
    const nowMs = clock.elapsed();
    const slotMs = Math.max(nextSlotMs, nowMs - (burst - 1) * everyMs);
    nextSlotMs = slotMs + everyMs;
    if (slotMs > nowMs) await clock.sleep(slotMs - nowMs, signal);
  };
}
