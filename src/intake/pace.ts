// Estimates from the last calls how fast Redis answers, and decides whether the next callbacks can wait for it.
//
// A slow Redis gets larger batches, so that a long round trip alone sends no callback to the spool. If it still cannot keep
// up, that is logged once (`intake.redis_slow`), and once more when it keeps up again (`intake.redis_keeps_up`).
import { batchSizeMax } from '../store/accept/accept-batch.ts';
import type { Log } from '../telemetry/log.ts';

/** Two calls of at most 16 measured best (docs/performance.md). */
export const callsInFlightMax = 2;

const slowCallMs = 100;
/** About five milliseconds for Redis: negligible next to a call that takes a hundred. */
const slowBatchSizeMax = 128;
/** How much longer than the last call the next one may take, as a share of it. */
const callVariance = 0.25;
/** After this time without a callback sent to the spool Redis counts as keeping up again. */
const calmMs = 5_000;

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

    /** Call when a call has ended, successful or not. */
    measured(callMs: number): void {
      lastCallMs = callMs;
    },

    /** Call when a call has succeeded. */
    succeeded(): void {
      if (turnedAway === 0 || now() - turnedAwayAtMs < calmMs) return;
      log.info({ event: 'intake.redis_keeps_up', callMs: Math.round(lastCallMs), turnedAway });
      turnedAway = 0;
    },

    /** Call for a callback that goes to the spool because Redis would be, or was, too slow. */
    turnAway(): void {
      if (turnedAway === 0) log.warn({ event: 'intake.redis_slow', callMs: Math.round(lastCallMs) });
      turnedAway += 1;
      turnedAwayAtMs = now();
    },

    keepsUp: () => now() - turnedAwayAtMs >= calmMs,
  };
}
