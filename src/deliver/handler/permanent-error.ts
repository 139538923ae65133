// The error by which a merchant's handler says that trying again is useless: the callback is failed at once, and kept.

const code = 'PERMANENT_FAILURE';

export class PermanentError extends Error {
  readonly code = code;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PermanentError';
  }
}

/** By its code, so that an error of another copy of this package, or of a handler without the package, counts too. */
export function isPermanent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
