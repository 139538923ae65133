// The typed client of docs/reference/operator-api.md: its very lines, with the packages that they name.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'docs/reference/operator-api.md'), 'utf8');
const [, shell = '', client = ''] = /```sh\n(.*?)```\n\n```ts\n(.*?)```/s.exec(page) ?? [];

const token = 'operator-token-0123456789';

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

function run(dir: string, command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: dir,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

/** By the project's own TypeScript, which is a later one than the generator's. */
function compile(dir: string): Ran {
  const settings = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024'];
  const types = [
    '--types',
    'node',
    '--typeRoots',
    path.join(root, 'node_modules/@types'),
    '--allowImportingTsExtensions',
  ];
  return run(dir, path.join(root, 'node_modules/.bin/tsc'), [...settings, ...types, 'client.ts']);
}

test('the typed client of the documents is generated, compiles, refuses mistakes and works', async (context) => {
  const dir = await makeTempDir('typed-client');
  await writeFile(path.join(dir, 'package.json'), '{"type":"module"}');
  const redis = await startRedis({ durable: false });
  await using _ = { [Symbol.asyncDispose]: () => redis.stop() };
  await using service = await startService({
    roles: ['receive'],
    env: { REDIS_URL: redis.url, PAYALO_API_KEYS: testKey, HOLD_MISMATCHED: 'true', OPS_TOKEN: token },
  });
  const env = { RECEIVER_URL: service.opsUrl, RECEIVER_TOKEN: token };
  const generated = run(dir, 'sh', ['-e', '-c', shell], env);
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404/.test(generated.output))
    context.skip('no npm registry that has openapi-typescript can be reached');
  expect(generated).toMatchObject({ status: 0 });

  await writeFile(path.join(dir, 'client.ts'), client);
  expect(compile(dir)).toEqual({ status: 0, output: '' });
  for (const [right, wrong] of [
    ["'/v1/callbacks'", "'/v1/callback'"],
    ["state: 'held'", "state: 'hold'"],
    ["currency: 'KES'", "currencies: 'KES'"],
    ['amountCheck, heldReason }', 'amountChecked, heldReason }'],
  ] as const) {
    expect(client).toContain(right);
    await writeFile(path.join(dir, 'client.ts'), client.replace(right, wrong));
    expect(compile(dir)).toMatchObject({ output: expect.stringContaining('error TS') });
  }

  await writeFile(path.join(dir, 'client.ts'), client);
  const reference = newReference();
  const held = await fetch(`${service.opsUrl}/v1/expectations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ gatewayReference: reference, amount: { value: '250', currency: 'KES' } }),
  });
  expect(held.status).toBe(202);
  const body = callbackBody({ reference });
  await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  const ran = run(dir, process.execPath, ['client.ts'], env);
  expect(ran).toMatchObject({ status: 0, output: expect.stringContaining(`${reference} short amount: short`) });
});
