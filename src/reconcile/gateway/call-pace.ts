// Keeps the calls to one gateway below its limit: each call takes the next free slot and waits for it. Uses a monotonic
// clock; if a wall clock were set back by an hour, every call would wait that long.
import type { Clock } from '../clock.ts';

export interface CallPaceOptions {
  readonly callsPerSecond: number;
  /** How many calls may go out at once after a quiet period. */
  readonly burst: number;
  readonly clock: Clock;
}

export type CallPace = ReturnType<typeof createCallPace>;

export function createCallPace({ callsPerSecond, burst, clock }: CallPaceOptions) {
  const everyMs = 1_000 / callsPerSecond;
  let nextSlotMs = 0;

  /** Resolves when the call may go out. */
  return async function takeSlot(signal: AbortSignal): Promise<void> {
    const nowMs = clock.elapsed();
    const slotMs = Math.max(nextSlotMs, nowMs - (burst - 1) * everyMs);
    nextSlotMs = slotMs + everyMs;
    if (slotMs > nowMs) await clock.sleep(slotMs - nowMs, signal);
  };
}
