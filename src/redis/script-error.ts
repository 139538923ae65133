// Distinguishes a script that failed on its data from a Redis that is unusable.
import { ZodError } from 'zod';

/**
 * Whether Redis works and the call itself is at fault: its arguments could not be built, its reply could not be parsed, or
 * a command in the script failed on its data. Every other code (OOM, READONLY, ...) concerns the server.
 */
export function isScriptError(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof ZodError) return true;
  return error instanceof Error && error.name === 'ReplyError' && /^(?:ERR|WRONGTYPE) /.test(error.message);
}
