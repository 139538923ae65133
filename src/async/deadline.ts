// Stops waiting for a promise at a deadline; the call itself goes on.

export class LateError extends Error {
  readonly code = 'LATE';

  constructor(limitMs: number) {
    super(`There was no answer within ${Math.round(limitMs)} ms`);
  }
}

/** Rejects with LateError at the deadline. What the call does afterwards, even failing, is ignored. */
export async function within<T>(limitMs: number, call: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new LateError(limitMs)), Math.max(limitMs, 0));
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
