// Time as reconciliation sees it, so that a test may hold it. `sleep` rejects with AbortError when its signal aborts.
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch. Somebody may set this clock, forward or back, at any time. */
  now(): number;
  /** Milliseconds since some moment, which nobody can set: for waits, paces and deadlines of this process. */
  elapsed(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  async sleep(ms, signal) {
    // A timer cannot hold more, and would fire at once.
    await delay(Math.min(Math.max(ms, 0), 2_147_483_647), undefined, { signal });
  },
};
