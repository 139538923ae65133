// The shop endpoints in the languages that shops here are written in, each started by its one command: books once, lets the highest
// sequence win, and refuses what is not signed.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { freePort } from '../support/private-redis.ts';
import { createRig } from '../deliver/rig.ts';
import { booked, deliverAll, ordersIn } from '../examples/shop.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 240_000 });

const examples = path.resolve(import.meta.dirname, '../../examples');
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const php = await ensureDebianPackages(['php-cli', 'php-sqlite3']);
const works = (args: string[]) => spawnSync('python3', args, { stdio: 'ignore' }).status === 0;
const hasPython = works(['-m', 'pip', '--version']) && works(['-c', 'import venv, ensurepip']);

const { server: redis } = await withRedis({ durable: false });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'shops-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

interface Shop {
  readonly name: string;
  readonly command: (port: number) => readonly [program: string, ...args: string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** Its orders, and its answer to each delivery. */
async function putThrough({ name, command, env = {} }: Shop) {
  const port = await freePort();
  const orders = path.join(dir, `${name}.sqlite`);
  const [program, ...args] = command(port);
  const shop = spawn(program, args, {
    env: { PATH: process.env['PATH'], ORDERS_FILE: orders, FORWARD_SECRET: secret, PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(shop);
  let output = '';
  for (const stream of [shop.stdout, shop.stderr]) stream.on('data', (data) => (output += String(data)));
  const url = `http://127.0.0.1:${port}/payments`;
  const forged = () =>
    fetch(url, {
      method: 'POST',
      headers: { 'webhook-id': 'msg_x', 'webhook-timestamp': '1', 'webhook-signature': 'v1,forged' },
      body: '{"status":"success"}',
    }).catch(() => undefined);
  await until(async () => (await forged())?.status === 401, { timeoutMs: 60_000, describe: `${name}: ${output}` });
  await using rig = await createRig(redis, { env: { FORWARD_URL: url, FORWARD_SECRET: secret } });
  await rig.start();
  await deliverAll(rig);
  shop.kill();
  return { orders: ordersIn(orders), outcomes: output.match(/\b(?:done|duplicate|outdated)\b/g) };
}

const kept = { orders: booked, outcomes: ['done', 'duplicate', 'done', 'duplicate', 'done', 'done'] };

test('express-endpoint, with TypeScript and the inbox', async () => {
  const endpoint = path.join(examples, 'express-endpoint/endpoint.ts');
  run('npm', [
    'install',
    '--silent',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
    '--prefix',
    path.dirname(endpoint),
  ]);
  const command = () => [process.execPath, '--disable-warning=ExperimentalWarning', endpoint] as const;
  expect(await putThrough({ name: 'express', command })).toEqual(kept);
});

test('php-endpoint, without a framework', async (context) => {
  context.skip(php.missing !== undefined, php.missing);
  const endpoint = path.join(examples, 'php-endpoint/endpoint.php');
  const command = (port: number) => [php.program('php'), '-S', `127.0.0.1:${port}`, endpoint] as const;
  expect(await putThrough({ name: 'php', command, env: php.env })).toEqual(kept);
});

test('fastapi-endpoint', async (context) => {
  context.skip(!hasPython, 'there is no Python 3 with pip and venv');
  const folder = path.join(examples, 'fastapi-endpoint');
  const venv = path.join(dir, 'venv', 'bin');
  run('python3', ['-m', 'venv', path.join(dir, 'venv')]);
  run(path.join(venv, 'python'), ['-m', 'pip', 'install', '--quiet', '-r', path.join(folder, 'requirements.txt')]);
  const uvicorn = [path.join(venv, 'uvicorn'), '--app-dir', folder, 'endpoint:app'] as const;
  expect(await putThrough({ name: 'fastapi', command: (port) => [...uvicorn, '--port', String(port)] })).toEqual(kept);
});

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stderr}`);
}
