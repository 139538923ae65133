// Problem documents (RFC 9457): how every listener of this service reports an error.

// An import of node:http would also load Node's own undici (15 ms, 6 MB), since the import reads every export.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

export const problemContentType = 'application/problem+json';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly [extension: string]: unknown;
}

/** `detail` says what was wrong, where, and what to do; it never contains a secret or a stack. */
export function problem(status: number, slug: string, detail: string, extensions: object = {}): Problem {
  const title = STATUS_CODES[status] ?? 'Error';
  return { type: `urn:payalo-receiver:problem:${slug}`, title, status, detail, ...extensions };
}
