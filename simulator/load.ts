// A gateway under load: its answers are delayed, and it accepts fewer status calls a second. Both can change at any time.
import { z } from 'zod';
import { createRateBucket } from './rate-bucket.ts';

const delayMsMax = 600_000;

export const delaySchema = z.strictObject({
  ms: z.int().min(0).max(delayMsMax),
  /** Only these calls. */
  on: z.enum(['status', 'records', 'start']).optional(),
});
export const limitSchema = z.strictObject({ statusCallsPerSecond: z.number().positive() });

export type Delay = z.infer<typeof delaySchema>;
export type DelayedCall = NonNullable<Delay['on']>;

export interface LoadOptions {
  readonly statusCallsPerSecond: number;
  readonly now: () => number;
}

export type Load = ReturnType<typeof createLoad>;

export function createLoad({ statusCallsPerSecond, now }: LoadOptions) {
  let delay: Delay = { ms: 0 };
  let perSecond = statusCallsPerSecond;
  let buckets = new Map<string, () => boolean>();

  return {
    delayOf: (call: DelayedCall): number => ((delay.on ?? call) === call ? delay.ms : 0),
    statusCallAllowed: (merchant: string): boolean => {
      const bucket = buckets.get(merchant) ?? createRateBucket({ perSecond, burst: Math.max(2 * perSecond, 1), now });
      buckets.set(merchant, bucket);
      return bucket();
    },
    /** Delays every answer, or every one of a kind. */
    setDelay: (next: Delay): void => {
      delay = next;
    },
    /** The limit of status calls per second and merchant, in bursts of two seconds; null restores the initial one. */
    setStatusLimit: (next: number | null): void => {
      perSecond = next ?? statusCallsPerSecond;
      buckets = new Map();
    },
  };
}
