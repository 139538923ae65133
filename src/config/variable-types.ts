// The types that variables share: durations, whole numbers, times, booleans. Each message says what the value must be.
import * as z from 'zod';
import { durationPattern, parseDurationMs } from '../time/duration.ts';
import { parseTimeMs } from '../time/parse-time.ts';

const maxTimerMs = 2_147_483_647; // the limit of setTimeout; a longer delay would fire at once
export const maxAckBudgetMs = 12_000; // the gateway gives up after 15 s; the answer leaves within ACK_BUDGET + 2 s

// `meta` puts into the JSON schema what the transformation checks.
export const text = z.string().optional();
export const duration = (fallback: string, { min = 1, max = Number.MAX_SAFE_INTEGER } = {}) =>
  z.string().meta({ pattern: durationPattern.source }).default(fallback).transform(toDuration(min, max));
export const timer = (fallback: string, min = 1) => duration(fallback, { min, max: maxTimerMs });
export const integer = (fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}) =>
  z
    .string()
    .meta({ pattern: '^\\d{1,15}$' })
    .default(String(fallback))
    .transform((value, context) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      return refuse(
        context,
        `must be a whole number from ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`}`,
      );
    });

export const yesOrNo = (fallback: boolean) =>
  z
    .string()
    .meta({ enum: ['true', 'false', '1', '0'] })
    .default(String(fallback))
    .transform((value, context) => {
      if (value === 'true' || value === '1') return true;
      return value === 'false' || value === '0' ? false : refuse(context, 'must be true or false');
    });

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

function toDuration(minMs: number, maxMs: number) {
  return (value: string, context: z.RefinementCtx): number => {
    const durationMs = parseDurationMs(value);
    if (durationMs === undefined) return refuse(context, 'must be a duration such as 500ms, 15s, 10m, 24h or 30d');
    if (durationMs < minMs || durationMs > maxMs) return refuse(context, `must be from ${minMs}ms to ${maxMs}ms`);
    return durationMs;
  };
}

export function toSchedule(value: string, context: z.RefinementCtx): number[] {
  const waits = value.split(',').map((item) => parseDurationMs(item) ?? Number.NaN);
  if (waits.length > 100) return refuse(context, 'must have at most 100 waits');
  if (waits.some((waitMs) => Number.isNaN(waitMs)))
    return refuse(context, 'must be durations separated by commas, such as 5s,30s,2m');
  return waits;
}

export function toTime(value: string | undefined, context: z.RefinementCtx): number | undefined {
  if (value === undefined) return undefined;
  return parseTimeMs(value) ?? refuse(context, 'must be an ISO 8601 time, such as 2026-01-31T00:00:00Z');
}
