// Decides when a condition has begun, grown or ended enough to notify people. Pure.
//
// Hysteresis: it must hold for a while, and be over for a while. A condition that keeps returning must be over for longer
// each time, so that flapping causes only a few notifications an hour.
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import type { Kind, Reading } from './kinds.ts';

export const stateSchema = z.object({
  isOn: z.boolean(),
  sinceMs: z.number(),
  /** When it was last notified. */
  toldMs: z.number(),
  count: z.number(),
  /** Its beginnings within the last hour. */
  begunMs: z.array(z.number()),
});
export type State = z.infer<typeof stateSchema>;

/** How long this process has seen it hold, or not hold. */
export interface Seen {
  readonly holds: boolean;
  readonly sinceMs: number;
}

export interface Transition {
  /** `shrunk` is recorded without notifying: growth from there counts as more again. */
  readonly kind: 'begun' | 'grown' | 'shrunk' | 'over';
  readonly state: State;
}

const hourMs = 3_600_000;
const patienceFactor = 4;
const patienceMaxMs = 1_800_000;

export function transitionOf(
  kind: Kind,
  state: State | undefined,
  reading: Reading,
  seen: Seen,
  nowMs: number,
): Transition | undefined {
  const { count = 0 } = reading;
  const lastedMs = nowMs - seen.sinceMs;
  const begunMs = (state?.begunMs ?? []).filter((at) => at > nowMs - hourMs && at <= nowMs);
  const isOn = state?.isOn ?? false;
  if (seen.holds && !isOn) {
    if (lastedMs < kind.beginAfterMs) return undefined;
    const sinceMs = reading.sinceMs ?? seen.sinceMs;
    return { kind: 'begun', state: { isOn: true, sinceMs, toldMs: nowMs, count, begunMs: [...begunMs, nowMs] } };
  }
  if (state === undefined || !isOn) return undefined;
  if (seen.holds) {
    if (kind.grows === true && count < state.count) return { kind: 'shrunk', state: { ...state, count } };
    // A time in the future comes from a wrong clock.
    const isDue = nowMs - state.toldMs >= hourMs || state.toldMs > nowMs;
    const isMore = kind.grows === true && count > state.count && isDue;
    return isMore ? { kind: 'grown', state: { ...state, toldMs: nowMs, count } } : undefined;
  }
  const waitMs = Math.min(kind.endAfterMs * patienceFactor ** Math.max(begunMs.length - 1, 0), patienceMaxMs);
  return lastedMs < waitMs ? undefined : { kind: 'over', state: { ...state, isOn: false, toldMs: nowMs, begunMs } };
}

export function parseState(text: string | undefined | null): State | undefined {
  return stateSchema.safeParse(parseJson(text ?? '')).data;
}
