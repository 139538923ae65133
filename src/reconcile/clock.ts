// Time as reconciliation sees it, so that a test may hold it. `sleep` rejects with AbortError when its signal aborts.
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: Date.now,
  async sleep(ms, signal) {
    await delay(Math.max(ms, 0), undefined, { signal });
  },
};
