// The attempts of a job and how it ended, from its log lines and its return value. Pure, and lenient towards what the
// merchant's own workers leave there.
import * as z from 'zod';
import type { JobRecord } from './read-callbacks.ts';
import { parseJson } from '../../callback/json-text.ts';

const time = z.iso.datetime();

export const attemptSchema = z.object({
  attempt: z.int().optional(),
  at: time,
  status: z.int().optional().describe("The merchant's HTTP status."),
  error: z.string().optional().describe('Why there was no status: timeout, ECONNREFUSED, ...'),
  ms: z.number().optional(),
  answer: z.string().optional().describe("The beginning of the merchant's answer."),
});

export type Attempt = z.infer<typeof attemptSchema>;

const supersededSchema = z.object({ superseded: z.literal(true) });

export function isSuperseded({ returnvalue }: JobRecord): boolean {
  return supersededSchema.safeParse(parseJson(returnvalue)).success;
}

/** The last moment that a Date can hold, in ms; other programs may write other units. */
const timeMsMax = 8.64e15;

const logLine = z.object({
  attempt: z.int().optional(),
  at: z.number().min(0).max(timeMsMax),
  ms: z.number().optional(),
  status: z.int().optional(),
  error: z.string().optional(),
  answer: z.string().optional(),
});
type LogLine = z.infer<typeof logLine>;

/** The attempt that succeeded, as the built-in worker returned it. */
export function deliveryOf({ returnvalue, place }: JobRecord): LogLine | undefined {
  return place === 'completed' ? logLine.safeParse(parseJson(returnvalue)).data : undefined;
}

/** A log line or return value without the merchant's answer; '' if it describes no attempt. */
export function withoutAnswer(text: string): string {
  if (supersededSchema.safeParse(parseJson(text)).success) return text;
  const { data } = logLine.omit({ answer: true }).safeParse(parseJson(text));
  return data === undefined ? '' : JSON.stringify(data);
}

/** In order. The merchant's own worker leaves only the reason of its last failure. */
export function attemptsOf(record: JobRecord): Attempt[] {
  const noted = record.logLines.flatMap((line) => logLine.safeParse(parseJson(line)).data ?? []);
  const delivery = deliveryOf(record);
  const attempts = [...noted, ...(delivery === undefined ? [] : [delivery])].map(toAttempt);
  if (attempts.length > 0 || record.failedReason === '') return attempts;
  const at = toTime(record.finishedOnMs ?? record.processedOnMs);
  return at === null ? [] : [{ at, error: record.failedReason }];
}

function toAttempt({ at, attempt, ms, status, error, answer }: LogLine): Attempt {
  return {
    at: new Date(at).toISOString(),
    ...(attempt !== undefined && { attempt }),
    ...(status !== undefined && { status }),
    ...(error !== undefined && { error }),
    ...(ms !== undefined && { ms }),
    ...(answer !== undefined && { answer }),
  };
}

/** Null if it is not a valid time. */
export function toTime(ms: number | undefined): string | null {
  return ms === undefined || !(Math.abs(ms) <= timeMsMax) ? null : new Date(ms).toISOString();
}
