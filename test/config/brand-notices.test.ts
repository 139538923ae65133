// Mismatches between the brands that different variables name: reported at start and by the doctor.
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';

const keys = 'acme=acme-key-0123456789,beta=beta-key-0123456789';
const secret = `whsec_${'A'.repeat(32)}`;
const url = 'https://example.com/hook';

function noticesOf(environment: Readonly<Record<string, string>>): readonly string[] {
  const loaded = loadConfig({ PAYALO_API_KEYS: keys, ...environment }, ['all']);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config.notices;
}

test('reports nothing if every brand has all it needs, set for the brand or by default', () => {
  expect(noticesOf({ FORWARD_URL: url })).toEqual([]);
  expect(noticesOf({ FORWARD_URL: `acme=${url},beta=${url}`, FORWARD_SECRET: secret })).toEqual([]);
  expect(noticesOf({ FORWARD_URL: `acme=${url},${url}` })).toEqual([]);
  expect(noticesOf({})).toEqual([]); // a separate notice reports that nothing is delivered
  expect(noticesOf({ PAYALO_API_KEYS: 'one-key-0123456789', FORWARD_URL: url })).toEqual([]);
  // A separate worker process has no keys.
  expect(noticesOf({ PAYALO_API_KEYS: 'x'.repeat(20), FORWARD_URL: url })).toEqual([]);
});

test('names the brand that FORWARD_URL leaves out, and the one that only it names', () => {
  const notices = noticesOf({ FORWARD_URL: `acme=${url},betta=${url}` });
  expect(notices).toHaveLength(2);
  expect(notices.join('\n')).toMatch(/FORWARD_URL names the brand betta.*PAYALO_API_KEYS.*acme, beta/);
  expect(notices.join('\n')).toMatch(/FORWARD_URL.* brand beta:/);
});

test.each([
  ['FORWARD_SECRET', secret],
  ['GATEWAY_API_KEY', 'gateway-key-0123456789'],
  ['GATEWAY_BASE_URL', 'https://gateway.example.com'],
])('names the brand that only %s names', (variable, value) => {
  const notices = noticesOf({ FORWARD_URL: url, [variable]: `${value},acmee=${value}` });
  expect(notices.filter((notice) => notice.includes(variable) && notice.includes('acmee'))).toHaveLength(1);
});

test('names the only brand whose deliveries would be unsigned', () => {
  const notices = noticesOf({ FORWARD_URL: url, FORWARD_SECRET: `acme=${secret}` });
  expect(notices).toHaveLength(1);
  expect(notices[0]).toMatch(/FORWARD_SECRET.* brand beta.*signed/);
});

test('names a key whose beginning looks like a brand', () => {
  const notices = noticesOf({ PAYALO_API_KEYS: `Acme=acme-key-0123456789,${keys}`, FORWARD_URL: url });
  expect(notices).toHaveLength(1);
  expect(notices[0]).toContain('PAYALO_API_KEYS');
  expect(notices[0]).not.toContain('0123456789');
  // Base64 may end in one or two `=`.
  expect(noticesOf({ PAYALO_API_KEYS: 'q2xhc3NpYyBrZXkgd2l0aCBwYWRkaW5nIQ==', FORWARD_URL: url })).toEqual([]);
});

test('reports nothing in a process without keys', () => {
  const loaded = loadConfig({ FORWARD_URL: `acme=${url}`, REDIS_URL: 'redis://localhost' }, ['work']);
  expect('config' in loaded && loaded.config.notices).toEqual([]);
});
