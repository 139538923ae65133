// Tells a script that failed on its data from a Redis that cannot be used.
import { ZodError } from 'zod';

/**
 * Whether Redis works and the call itself is at fault: its arguments could not be made, its reply could not be read, or
 * a command of the script failed on what it found. Every other code (OOM, READONLY, ...) is about the server.
 */
export function isScriptError(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof ZodError) return true;
  return error instanceof Error && error.name === 'ReplyError' && /^(?:ERR|WRONGTYPE) /.test(error.message);
}
