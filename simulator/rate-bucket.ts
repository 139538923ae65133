// How many status calls a merchant may make: a bucket that holds a burst and fills at a steady rate.

export interface RateBucketOptions {
  readonly perSecond: number;
  readonly burst: number;
  readonly now: () => number;
}

/** A function that says whether one more call is allowed, and counts it if so. */
export function createRateBucket({ perSecond, burst, now }: RateBucketOptions): () => boolean {
  let left = burst;
  let filledAtMs = now();
  return () => {
    left = Math.min(burst, left + ((now() - filledAtMs) / 1000) * perSecond);
    filledAtMs = now();
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}
