// The clock of reconciliation, which tests can replace. `sleep` rejects with AbortError when its signal aborts.
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch. This clock may be set forward or back at any time. */
  now(): number;
  /** Monotonic milliseconds: for waits, paces and deadlines within this process. */
  elapsed(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  async sleep(ms, signal) {
    // setTimeout's limit; a longer delay would fire at once.
    await delay(Math.min(Math.max(ms, 0), 2_147_483_647), undefined, { signal });
  },
};
