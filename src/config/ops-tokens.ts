// OPS_TOKEN: who may use the operator API. `token`, `name=token`, or `name:expect=token` for one that may only
// register expectations.

export interface OpsToken {
  /** Stands in the audit log. */
  readonly name: string;
  readonly token: string;
  readonly may: 'everything' | 'expect';
}

export function parseOpsTokens(text: string, problems: string[]): OpsToken[] {
  const tokens = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map(parseOpsToken);
  if (new Set(tokens.map(({ token }) => token)).size < tokens.length) {
    problems.push('OPS_TOKEN: holds the same token twice, so the audit log could not tell who used it');
  }
  return tokens;
}

function parseOpsToken(item: string): OpsToken {
  // A name counts only where something other than base64 padding follows, so that a bare base64 token needs no name.
  const match = /^([\w.@-]{1,32})(:expect)?=(.*[^=].*)$/.exec(item);
  if (match?.[1] === undefined || match[3] === undefined) return { name: 'operator', token: item, may: 'everything' };
  return { name: match[1], token: match[3], may: match[2] === undefined ? 'everything' : 'expect' };
}
