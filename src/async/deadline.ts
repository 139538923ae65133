// Ends the wait for something when its time is over, whatever becomes of it.

export class LateError extends Error {
  readonly code = 'LATE';

  constructor(limitMs: number) {
    super(`There was no answer within ${Math.round(limitMs)} ms`);
  }
}

/** Rejects with LateError when the time is over. What the call does afterwards, failing included, goes unnoticed. */
export async function within<T>(limitMs: number, call: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LateError(limitMs)), Math.max(limitMs, 0));
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
