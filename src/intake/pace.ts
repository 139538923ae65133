// How fast Redis answers now, as its last calls showed, and what follows from it for the next callbacks.
//
// A slow Redis gets larger batches, so that a long round trip alone turns nobody away. One that still cannot keep up is
// said once (`intake.redis_slow`), and once more when it keeps up again (`intake.redis_keeps_up`).
import { batchSizeMax } from '../store/accept/accept-batch.ts';
import type { Log } from '../telemetry/log.ts';

/** Two calls of at most 16 were measured best (docs/performance.md). */
export const callsInFlightMax = 2;

const slowCallMs = 100;
/** About five milliseconds of Redis: nothing beside a call that takes a hundred. */
const slowBatchSizeMax = 128;
/** By how much a call may take longer than the last one, as a share of it. */
const callVariance = 0.25;
/** For this long nobody was turned away: then Redis keeps up again. */
const calmMs = 5_000;

export type Pace = ReturnType<typeof createPace>;

export function createPace(log: Pick<Log, 'info' | 'warn'>, now: () => number) {
  let lastCallMs = 0;
  let turnedAway = 0;
  let turnedAwayAtMs = -calmMs;

  const sizeMax = () => (lastCallMs > slowCallMs ? slowBatchSizeMax : batchSizeMax);

  return {
    batchSizeMax: sizeMax,

    /** How long a callback would wait for its outcome behind `ahead` others, while a call is `inFlightMs` old. */
    expectedMs(ahead: number, inFlightMs: number): number {
      const callMs = Math.max(lastCallMs, inFlightMs);
      const callsAhead = Math.floor(ahead / (callsInFlightMax * sizeMax()));
      return callMs - inFlightMs + callMs * (callsAhead + 1 + callVariance);
    },

    /** A call has ended, well or not. */
    measured(callMs: number): void {
      lastCallMs = callMs;
    },

    /** A call has ended well. */
    succeeded(): void {
      if (turnedAway === 0 || now() - turnedAwayAtMs < calmMs) return;
      log.info({ event: 'intake.redis_keeps_up', callMs: Math.round(lastCallMs), turnedAway });
      turnedAway = 0;
    },

    /** A callback goes to the spool because Redis would be, or was, too slow for it. */
    turnAway(): void {
      if (turnedAway === 0) log.warn({ event: 'intake.redis_slow', callMs: Math.round(lastCallMs) });
      turnedAway += 1;
      turnedAwayAtMs = now();
    },

    keepsUp: () => now() - turnedAwayAtMs >= calmMs,
  };
}
