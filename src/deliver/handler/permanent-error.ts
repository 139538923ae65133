// The error with which a merchant's handler declares further attempts useless: the callback fails at once, and is kept.

const code = 'PERMANENT_FAILURE';

export class PermanentError extends Error {
  readonly code = code;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PermanentError';
  }
}

/** Checks the code, so that errors from another copy of this package, or without the package, count too. */
export function isPermanent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
