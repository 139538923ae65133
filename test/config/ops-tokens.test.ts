// OPS_TOKEN and OPS_USER_HEADER: names, rights, and what is refused.
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { parseOpsTokens } from '../../src/config/ops-tokens.ts';

const token = 'token-0123456789abcdef';

test.for([
  [token, { name: 'operator', may: 'everything', token }],
  [`amina=${token}`, { name: 'amina', may: 'everything', token }],
  [`ben:read=${token}`, { name: 'ben', may: 'read', token }],
  [`sam:support=${token}`, { name: 'sam', may: 'support', token }],
  [`shop:expect=${token}`, { name: 'shop', may: 'expect', token }],
  ['c2VjcmV0LXRva2Vu==', { name: 'operator', may: 'everything', token: 'c2VjcmV0LXRva2Vu==' }],
] as const)('reads %s', ([text, expected]) => {
  const problems: string[] = [];
  expect(parseOpsTokens(text, problems)).toEqual([expected]);
  expect(problems).toEqual([]);
});

test('reports a mistyped right instead of granting all rights, and repeats no secret', () => {
  const problems: string[] = [];
  parseOpsTokens(`amina=${token}x,ben:raed=${token}`, problems);
  expect(problems).toEqual([expect.stringMatching(/^OPS_TOKEN: item 2 names no right/)]);
  expect(problems.join()).not.toContain(token);
});

test('accepts OPS_USER_HEADER only with TRUST_PROXY, and only a header’s name', () => {
  const load = (env: Record<string, string>) =>
    loadConfig({ GATEWAY_BASE_URL: 'http://127.0.0.1:1', ...env }, ['reconcile']);
  expect(load({ OPS_USER_HEADER: 'X-User' })).toMatchObject({
    problems: [expect.stringMatching(/^OPS_USER_HEADER: is believed from TRUST_PROXY only/)],
  });
  expect(load({ OPS_USER_HEADER: 'X User', TRUST_PROXY: '10.0.0.1' })).toMatchObject({
    problems: [expect.stringMatching(/^OPS_USER_HEADER: must be the name of a header/)],
  });
  expect(load({ OPS_USER_HEADER: 'X-User', TRUST_PROXY: '10.0.0.1' })).toMatchObject({
    config: { OPS_USER_HEADER: 'x-user' },
  });
});
