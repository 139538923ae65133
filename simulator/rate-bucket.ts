// The rate limit of a merchant's status calls: a token bucket with a burst and a steady rate.

export interface RateBucketOptions {
  readonly perSecond: number;
  readonly burst: number;
  readonly now: () => number;
}

/** Returns a function that tells whether one more call is allowed, and counts it if so. */
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
