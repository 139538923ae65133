// `config`: prints each value with its origin and no secret; `--check` predicts whether the service would start.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { variableNames } from '../../src/config/config.ts';
import { effectiveConfig } from '../../src/config/effective-config.ts';
import { runCli } from '../support/cli.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const key = 'gateway-key-0123456789';
const secret = `whsec_${Buffer.from('a secret of the merchant').toString('base64')}`;
let dir: string;
let env: Record<string, string>;

beforeAll(async () => {
  dir = await makeTempDir('config');
  writeFileSync(
    path.join(dir, '.env'),
    `LOG_LEVEL=warn\nHOST=127.0.0.9\nPAYALO_API_KEYS_FILE=${path.join(dir, 'keys')}\n`,
  );
  writeFileSync(path.join(dir, 'keys'), `acme=${key},beta=${key}2\n`);
  env = {
    SPOOL_DIR: path.join(dir, 'spool'), // the command runs in its parent folder
    REDIS_URL: 'redis://user:hunter2@127.0.0.1:1/0',
    HOST: '127.0.0.1',
    FORWARD_URL: 'acme=http://me:hunter2@127.0.0.1:9/hook?key=hunter2,beta=http://127.0.0.1:9/',
    FORWARD_SECRET: `acme=${secret}`,
    OPS_TOKEN: 'amina=hunter2-0123456789,sam:support=hunter2-9876543210,hunter2-bare-token',
  };
});

const parsed = z.object({
  values: z.array(z.object({ name: z.string(), value: z.string().nullable(), origin: z.string() })),
  problems: z.array(z.string()),
});

test('prints every variable with its value and origin, and no secret', async () => {
  const { code, out, err } = await runCli(['config', '--json'], env);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const { values } = parsed.parse(JSON.parse(out));
  expect(values.map(({ name }) => name)).toEqual(variableNames);
  const of = (name: string) => values.find((one) => one.name === name);
  expect(of('DEDUP_TTL')).toMatchObject({ value: '14d', origin: 'default' });
  expect(of('HANDLER_MODULE')).toMatchObject({ value: null, origin: 'default' });
  expect(of('HOST')).toMatchObject({ value: '127.0.0.1', origin: 'environment' });
  expect(of('LOG_LEVEL')).toMatchObject({ value: 'warn', origin: '.env' });
  expect(of('PAYALO_API_KEYS')).toMatchObject({
    value: 'acme=********,beta=********',
    origin: `PAYALO_API_KEYS_FILE (${path.join(dir, 'keys')}), .env`,
  });
  expect(of('OPS_TOKEN')).toMatchObject({ value: 'amina=********,sam:support=********,********' });
  expect(of('REDIS_URL')).toMatchObject({ value: 'redis://********@127.0.0.1:1/0' });
  expect(of('FORWARD_URL')).toMatchObject({
    value: 'acme=http://********@127.0.0.1:9/hook?********,beta=http://127.0.0.1:9/',
  });
  const table = await runCli(['config'], env);
  expect(table.out).toMatch(/^VARIABLE +VALUE +FROM\n/);
  for (const text of [out, table.out]) expect(text).not.toMatch(new RegExp(`hunter2|${key}|${secret}`));
});

const secrets = variableNames.filter((name) => /KEYS|SECRET|PASSWORD|_TOKEN$|API_KEY$|HEADERS$|NOTIFY/.test(name));

test.for(secrets)('masks %s', (name) => {
  const found = effectiveConfig({ file: {}, process: { [name]: 'hunter2' } }).find((one) => one.name === name);
  expect(found?.value).toBe('********');
});

test('--check exits with 0 if the service would start', async () => {
  const { code, out, err } = await runCli(['config', '--check', 'receive'], env);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('would start');
});

test.for([
  ['a wrong value', { PORT: 'http', DEDUP_TTL: 'for ever' }],
  ['a module that is not there', { FORWARD_URL: '', HANDLER_MODULE: '/nowhere/none.mjs' }],
] as const)('--check exits with 78 if the start would, with the same lines: %s', async ([, more]) => {
  const check = await runCli(['config', '--check'], { ...env, ...more });
  expect(check.code).toBe(78);
  expect(check.err).not.toBe('');
  const start = await startService({ env: { ...env, PAYALO_API_KEYS: `acme=${key},beta=${key}2`, ...more } }).then(
    () => 'started',
    (error: unknown) => String(error),
  );
  for (const line of check.err.trim().split('\n')) expect(start).toContain(line);
});
