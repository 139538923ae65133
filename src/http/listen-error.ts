// Explains why a listener cannot start, if the user can fix it: one sentence that names the variable, instead of a stack.
//
// Not a ConfigError: the port may be free at the next start, and supervisors give up after EX_CONFIG.

export class ListenError extends Error {
  readonly code = 'CANNOT_LISTEN';
}

const reasons = new Map<unknown, { readonly variable: 'HOST' | 'PORT'; readonly why: string }>([
  ['EADDRINUSE', { variable: 'PORT', why: 'another program already listens there' }],
  ['EACCES', { variable: 'PORT', why: 'this user may not listen there' }],
  ['EADDRNOTAVAIL', { variable: 'HOST', why: 'this machine has no such address' }],
  ['ENOTFOUND', { variable: 'HOST', why: 'there is no such host' }],
]);

/** Turns the error of `listen` into a ListenError if the reason is a known one. */
export function cannotListen(prefix: '' | 'OPS_', host: string, port: number, cause: unknown): unknown {
  const reason = cause instanceof Error && 'code' in cause ? reasons.get(cause.code) : undefined;
  if (reason === undefined) return cause;
  const { variable, why } = reason;
  return new ListenError(`${prefix}${variable}: cannot listen on ${host}, port ${port}: ${why}`, { cause });
}
