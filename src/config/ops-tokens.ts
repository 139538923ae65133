// OPS_TOKEN: who may use the operator API and the console. `token`, `name=token`, or `name:right=token` for a token with
// limited rights.

/** The rights of a token: everything; read only; read only without personal data; only register expectations. */
export type Right = 'everything' | 'read' | 'support' | 'expect';

export interface OpsToken {
  /** Appears in the audit log. */
  readonly name: string;
  readonly token: string;
  readonly may: Right;
}

const limited = ['read', 'support', 'expect'] as const satisfies readonly Right[];

export function parseOpsTokens(text: string, problems: string[]): OpsToken[] {
  const tokens = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item, at) => parseOpsToken(item, at + 1, problems));
  if (new Set(tokens.map(({ token }) => token)).size < tokens.length) {
    problems.push('OPS_TOKEN: holds the same token twice, so the audit log could not tell who used it');
  }
  return tokens;
}

function parseOpsToken(item: string, position: number, problems: string[]): OpsToken {
  // A name counts only if something other than base64 padding follows, so that a bare base64 token needs no name.
  const match = /^([\w.@-]{1,32})(?::([a-z]+))?=(.*[^=].*)$/.exec(item);
  if (match?.[1] === undefined || match[3] === undefined) return { name: 'operator', token: item, may: 'everything' };
  const may = match[2] === undefined ? 'everything' : limited.find((right) => right === match[2]);
  // If a mistyped right were read as part of the token, the token would get all rights.
  if (may === undefined)
    problems.push(`OPS_TOKEN: item ${position} names no right; use name:${limited.join('=, name:')}=`);
  return { name: match[1], token: match[3], may: may ?? 'expect' };
}
