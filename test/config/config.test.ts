import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { couldBe, parseBrandValues } from '../../src/config/brand-values.ts';
import { loadConfig, readEnvironment, variableNames } from '../../src/config/config.ts';
import type { Environment } from '../../src/config/resolve-values.ts';

const key = 'k'.repeat(16);
const url = 'http://127.0.0.1:9000/hook';

function configOf(environment: Environment, roles: string[] = []) {
  const loaded = loadConfig(environment, roles);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

function problemsOf(environment: Environment, roles: string[] = []): string[] {
  const loaded = loadConfig(environment, roles);
  return 'problems' in loaded ? loaded.problems : [];
}

test("has the contract's defaults", () => {
  expect(configOf({ PAYALO_API_KEYS: key })).toMatchObject({
    HOST: '0.0.0.0',
    PORT: 3000,
    CALLBACK_PATH: '/webhooks/payalo',
    BODY_LIMIT: 262_144,
    KEEP_ALIVE_TIMEOUT: 72_000,
    AUTH_FAILURES_PER_MINUTE: 60,
    QUEUE_NAME: 'payalo-callbacks',
    QUEUE_PREFIX: '{payalo}',
    DEDUP_TTL: 14 * 86_400_000,
    SHUTDOWN_TIMEOUT: 25_000,
    ACK_BUDGET: 3_000,
    FORWARD_TIMEOUT: 15_000,
    FORWARD_RETRIES: [5e3, 30e3, 120e3, 600e3, 1800e3, 3600e3, 10_800e3, 21_600e3, 43_200e3, 86_400e3],
    redis: { kind: 'standalone', endpoint: { host: '127.0.0.1', port: 6379 } },
    OPS_HOST: '127.0.0.1',
    OPS_PORT: 3001,
  });
});

test('lists every problem at once, each with its variable and none with a secret', () => {
  const problems = problemsOf({
    PAYALO_API_KEYS: 'short-secret',
    PORT: 'http',
    DEDUP_TTL: 'for ever',
    REDIS_URL: 'mysql://user:hunter2@db',
    FORWARD_URL: 'ftp://merchant',
    OPS_HOST: '0.0.0.0',
    TRUST_PROXY: '10.0.0.0/99',
    LOG_LEVEL: 'loud',
  });
  const named = [
    'PAYALO_API_KEYS',
    'PORT',
    'DEDUP_TTL',
    'REDIS_URL',
    'FORWARD_URL',
    'OPS_TOKEN',
    'TRUST_PROXY',
    'LOG_LEVEL',
  ];
  for (const name of named) expect(problems.filter((problem) => problem.startsWith(`${name}: `))).toHaveLength(1);
  expect(problems.join('\n')).not.toMatch(/short-secret|hunter2/);
  expect(problems.every((problem) => !problem.includes('\n'))).toBe(true);
});

test('requires what each role needs, and REDIS_URL in production', () => {
  expect(problemsOf({}, ['receive'])).toEqual([expect.stringMatching(/^PAYALO_API_KEYS: is required/)]);
  expect(problemsOf({}, ['work'])).toEqual([expect.stringMatching(/^FORWARD_URL: /)]);
  expect(problemsOf({}, ['reconcile'])).toEqual([]);
  expect(problemsOf({ PAYALO_API_KEYS: key, NODE_ENV: 'production' })).toEqual([expect.stringMatching(/^REDIS_URL: /)]);
  expect(problemsOf({ PAYALO_API_KEYS: key }, ['recieve'])).toEqual([
    expect.stringMatching(/^unknown role "recieve"; use all, receive/),
  ]);
});

test('treats a variable that contains only commas as empty', () => {
  expect(problemsOf({ PAYALO_API_KEYS: ' , ' }, ['receive'])).toEqual([
    expect.stringMatching(/^PAYALO_API_KEYS: is required/),
  ]);
  expect(problemsOf({ FORWARD_URL: ',' }, ['work'])).toEqual([expect.stringMatching(/^FORWARD_URL: /)]);
});

test('refuses keys on separate lines, which no header could contain', () => {
  expect(problemsOf({ PAYALO_API_KEYS: `${key}\n${key}2` })).toEqual([
    expect.stringMatching(/^PAYALO_API_KEYS: key 1 holds a line break/),
  ]);
});

test('reads .env if it is a file, and ignores a folder of that name, as container engines make', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'config-'));
  expect(readEnvironment(dir)).toEqual(process.env);
  writeFileSync(path.join(dir, 'env'), 'BODY_LIMIT=4096\n');
  expect(readEnvironment(path.join(dir, 'env'))).toMatchObject({ BODY_LIMIT: '4096' });
  rmSync(dir, { recursive: true });
});

test('reads `.env`, and the files that variables name, with any byte order mark and line endings', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'config-'));
  const text = `PAYALO_API_KEYS=${key}\nBODY_LIMIT=4096\n`;
  const windows = text.replaceAll('\n', '\r\n');
  const encodings = [
    Buffer.from(`\ufeff${text}`),
    Buffer.from(`\ufeff${windows}`),
    Buffer.from(`\ufeff${windows}`, 'utf16le'),
    Buffer.from(`\ufeff${windows}`, 'utf16le').swap16(),
    Buffer.from(windows),
  ];
  for (const bytes of encodings) {
    writeFileSync(path.join(dir, 'env'), bytes);
    expect(configOf(readEnvironment(path.join(dir, 'env')))).toMatchObject({
      BODY_LIMIT: 4_096,
      brands: new Map([['default', expect.objectContaining({ apiKeys: [key] })]]),
    });
  }
  writeFileSync(path.join(dir, 'keys'), `\ufeff${key}\r\n`);
  writeFileSync(path.join(dir, 'headers'), '\ufeff{ "x-a": "b" }\r\n');
  const files = { PAYALO_API_KEYS_FILE: path.join(dir, 'keys'), FORWARD_HEADERS_FILE: path.join(dir, 'headers') };
  expect(configOf({ ...files, FORWARD_URL: url }).brands.get('default')).toMatchObject({
    apiKeys: [key],
    forwardHeaders: { 'x-a': 'b' },
  });
  rmSync(dir, { recursive: true });
});

test('treats an empty string as unset, and reads X from the file that X_FILE names', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'config-'));
  const file = path.join(dir, 'keys');
  writeFileSync(file, `${key}\n`);
  const config = configOf({ PAYALO_API_KEYS: '', PAYALO_API_KEYS_FILE: file, FORWARD_URL: '' });
  expect(config.brands.get('default')?.apiKeys).toEqual([key]);
  expect(config.apiKeysFile).toBe(file);
  expect(problemsOf({ PAYALO_API_KEYS: key, PAYALO_API_KEYS_FILE: file })).toEqual([
    expect.stringMatching(/^PAYALO_API_KEYS: both/),
  ]);
  expect(problemsOf({ PAYALO_API_KEYS_FILE: path.join(dir, 'none') }).join()).toMatch(/PAYALO_API_KEYS_FILE: .*ENOENT/);
  rmSync(dir, { recursive: true });
});

test('reads base64 keys, URLs with queries and brands without any quoting', () => {
  const config = configOf({
    PAYALO_API_KEYS: `YWJjZGVmZ2hpamtsbW4=,acme=acme-key-0123456789==,${key}`,
    FORWARD_URL: 'acme=https://acme.example/hook?a=b&c=d,http://other.example/?x=http://y',
    GATEWAY_API_KEY: 'acme=gateway-key-0123456',
  });
  expect(config.brands.get('default')).toMatchObject({
    apiKeys: ['YWJjZGVmZ2hpamtsbW4=', key],
    forwardUrl: 'http://other.example/?x=http://y',
    gatewayApiKeys: ['YWJjZGVmZ2hpamtsbW4=', key],
  });
  expect(config.brands.get('acme')).toMatchObject({
    apiKeys: ['acme-key-0123456789=='],
    forwardUrl: 'https://acme.example/hook?a=b&c=d',
    gatewayApiKeys: ['gateway-key-0123456'],
  });
});

test('parses any generated text into the brands and values that it was made from', () => {
  const brand = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
  const value = fc.stringMatching(/^[A-Za-z0-9+/]{16,40}={0,2}$/);
  fc.assert(
    fc.property(fc.array(fc.record({ brand, value }), { minLength: 1, maxLength: 8 }), (items) => {
      const text = items.map((item) => `${item.brand}=${item.value}`).join(', ');
      expect(parseBrandValues(text, couldBe.key)).toEqual(items);
      const bare = items.map((item) => item.value).join(',');
      expect(parseBrandValues(bare, couldBe.key)).toEqual(
        items.map((item) => ({ brand: 'default', value: item.value })),
      );
    }),
  );
});

test('never sends the credentials of one endpoint to another', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'config-'));
  const file = path.join(dir, 'headers.json');
  writeFileSync(file, JSON.stringify({ default: { authorization: 'Bearer d' }, a: { 'x-a': '1' } }));
  const { brands } = configOf({
    PAYALO_API_KEYS: `${key},a=${key}a,b=${key}b,c=${key}c`,
    FORWARD_URL: `${url},a=${url}a,b=${url}b`,
    FORWARD_HEADERS_FILE: file,
  });
  const headers = (name: string) => brands.get(name)?.forwardHeaders;
  expect(headers('default')).toEqual({ authorization: 'Bearer d' });
  expect(headers('a')).toEqual({ 'x-a': '1' });
  expect(headers('b')).toEqual({});
  expect(headers('c')).toEqual({ authorization: 'Bearer d' }); // goes to the default endpoint
  expect(brands.get('c')?.gatewayApiKeys).toEqual([`${key}c`]);
  rmSync(dir, { recursive: true });
});

test.for([
  [
    'redis://u:p%40ss@h:1/2',
    { kind: 'standalone', endpoint: { host: 'h', port: 1 }, db: 2, username: 'u', password: 'p@ss' },
  ],
  ['rediss://:p@h', { kind: 'standalone', tls: true, endpoint: { host: 'h', port: 6379 }, password: 'p' }],
  [
    'redis+sentinel://a:1,b/main',
    {
      kind: 'sentinel',
      endpoints: [
        { host: 'a', port: 1 },
        { host: 'b', port: 26_379 },
      ],
      masterName: 'main',
    },
  ],
  [
    'rediss+cluster://a:1,[::1]:2',
    {
      kind: 'cluster',
      tls: true,
      endpoints: [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
      ],
    },
  ],
] as const)('understands REDIS_URL %s', ([REDIS_URL, redis]) => {
  expect(configOf({ PAYALO_API_KEYS: key, REDIS_URL }).redis).toMatchObject(redis);
});

test('.env.example lists exactly the variables', () => {
  const text = readFileSync('.env.example', 'utf8');
  const listed = [...text.matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name);
  expect(listed.toSorted()).toEqual(variableNames.toSorted());
});
