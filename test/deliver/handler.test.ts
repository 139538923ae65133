// HANDLER_MODULE: a merchant's function, in separate processes.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServiceProcess } from '../support/service-process.ts';
import { createHandlerPool } from '../../src/deliver/handler/handler-pool.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { createRig, terminalWebhookId } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'handler-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

let count = 0;

/** A module with this source, TypeScript by default. */
async function moduleOf(text: string, ending = 'ts'): Promise<string> {
  count += 1;
  const file = path.join(dir, `handler-${count}.${ending}`);
  await writeFile(file, text);
  return file;
}

const keepsCall = (file: string) => `
import { appendFileSync } from 'node:fs';
interface Callback { body: string; transaction: { finalAmount: { value: string } }; signal: AbortSignal; [name: string]: unknown }
export default async function handle({ signal, ...callback }: Callback) {
  appendFileSync(${JSON.stringify(file)}, JSON.stringify({ ...callback, aborted: signal.aborted }) + '\\n');
}`;

test('is called with the job, exact decimals, the raw body and the ids; returning completes the delivery', async () => {
  const calls = path.join(dir, 'calls');
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: await moduleOf(keepsCall(calls)) } });
  await rig.start();
  const body = '{ "finalAmount": { "value": 100.00, "currency": "KES" }, "big": 12345678901234567890.10 }';
  const job = await rig.settled(await rig.add({ gatewayReference: 'handled', body }));
  expect(job.returnvalue).toEqual({ at: expect.any(Number), ms: expect.any(Number), attempt: 1 });
  expect(JSON.parse(await readFile(calls, 'utf8'))).toMatchObject({
    version: 1,
    brand: 'default',
    source: 'callback',
    gatewayReference: 'handled',
    status: 'success',
    body,
    transaction: { finalAmount: { value: '100.00', currency: 'KES' }, big: '12345678901234567890.10' },
    webhookId: terminalWebhookId('handled'),
    sequence: 0,
    attempt: 1,
    aborted: false,
  });
});

test('a throw is retried, even in the same process; a PermanentError fails at once', async () => {
  const module = await moduleOf(
    `export default async ({ gatewayReference, attempt }) => {
      if (gatewayReference === 'hopeless') throw Object.assign(new Error('no such order'), { code: 'PERMANENT_FAILURE' });
      if (attempt < 3) throw new TypeError('not yet ' + attempt);
    };`,
    'mjs',
  );
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module } });
  await rig.start();
  const [retried, hopeless] = [await rig.add(), await rig.add({ gatewayReference: 'hopeless' })];
  const done = await rig.settled(retried);
  expect(done.returnvalue).toMatchObject({ attempt: 3 });
  expect(await rig.attemptsOf(done)).toMatchObject([
    { attempt: 1, error: 'TypeError', answer: 'not yet 1' },
    { attempt: 2, error: 'TypeError', answer: 'not yet 2' },
  ]);
  const failed = await rig.settled(hopeless, 'failed');
  expect(await rig.attemptsOf(failed)).toMatchObject([{ attempt: 1, error: 'Error', answer: 'no such order' }]);
});

test.for([
  ['while (true) {}', 'for (;;) {}', 'timeout'],
  ['a promise that never settles', 'await new Promise(() => {})', 'timeout'],
  ['process.exit', 'process.exit(0)', 'exited with 0'],
  [
    'an error outside of any promise',
    'setTimeout(() => { throw new RangeError("later") }); await new Promise(() => {})',
    'RangeError',
  ],
] as const)('%s costs one attempt and nothing else', async ([, trouble, error]) => {
  const module = await moduleOf(
    `export default async ({ attempt, gatewayReference }) => {
    if (gatewayReference === 'trouble' && attempt === 1) { ${trouble}; }
  };`,
    'mjs',
  );
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module, FORWARD_TIMEOUT: '400ms' } });
  await rig.start();
  const hanging = await rig.add({ gatewayReference: 'trouble' });
  const others = await Promise.all(Array.from({ length: 20 }, async () => rig.add()));
  for (const other of others) expect((await rig.settled(other)).returnvalue).toMatchObject({ attempt: 1 });
  const done = await rig.settled(hanging);
  expect(done.returnvalue).toMatchObject({ attempt: 2 });
  expect(await rig.attemptsOf(done)).toMatchObject([{ attempt: 1, error }]);
});

test('its signal is aborted at the timeout, before its process is killed', async () => {
  const module = await moduleOf(
    `export default ({ signal, attempt }) => new Promise((resolve, reject) => {
    if (attempt > 1) return resolve();
    signal.addEventListener('abort', () => reject(new Error('cleaned up')));
  });`,
    'mjs',
  );
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module, FORWARD_TIMEOUT: '200ms' } });
  await rig.start();
  const done = await rig.settled(await rig.add());
  expect(await rig.attemptsOf(done)).toMatchObject([{ attempt: 1, error: 'timeout' }]);
});

test('at shutdown a running handler is aborted, and its callback returns to the queue without spending an attempt', async () => {
  const module = await moduleOf('export default () => { for (;;) {} };', 'mjs');
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module } });
  const { stop } = await rig.start();
  const job = await rig.add();
  await until(async () => (await job.getState()) === 'active');
  await stop(1_500);
  expect(await job.getState()).toBe('waiting');
  expect((await rig.bull.getJob(job.id ?? ''))?.attemptsMade).toBe(0);
});

test.for([
  [
    'throws at import',
    'throw new Error("DATABASE_URL is missing")',
    /importing it threw Error: DATABASE_URL is missing/,
  ],
  ['has no default export', 'export const handle = () => {};', /its default export is not a function/],
  ['is no function', 'export default { handle() {} };', /its default export is not a function/],
  ['does not parse', 'export default function (', /importing it threw SyntaxError/],
  [
    'never finishes importing',
    'await new Promise(() => setInterval(() => {}, 1e6)); export default () => {};',
    /importing it took over 4000 ms/,
  ],
  ['ends the process at import', 'process.exit(0);', /importing it exited/],
] as const)('a module that %s stops the start with a sentence', async ([, text, sentence]) => {
  const module = await moduleOf(text, 'mjs');
  const log = createLog({ level: 'silent' });
  const pool = createHandlerPool({ module, timeoutMs: 1_000, log, importTimeoutMs: 4_000 });
  await expect(pool.check()).rejects.toThrow(sentence);
  await expect(pool.check()).rejects.toMatchObject({ code: 'HANDLER_MODULE_UNUSABLE' });
  await pool.close();
});

test.for([
  ['a file URL', async () => pathToFileURL(await moduleOf('export default () => {};', 'mjs')).href],
  [
    'the default export of TypeScript compiled to CommonJS',
    async () =>
      moduleOf("Object.defineProperty(exports, '__esModule', { value: true }); exports.default = () => {};", 'cjs'),
  ],
] as const)('%s is taken as well', async ([, makeModule]) => {
  const log = createLog({ level: 'silent' });
  const pool = createHandlerPool({ module: await makeModule(), timeoutMs: 1_000, log });
  await expect(pool.check()).resolves.toBeUndefined();
  await pool.close();
});

test('an installed package is found by its name', async () => {
  const shop = path.join(dir, 'node_modules', 'shop-handler');
  await mkdir(shop, { recursive: true });
  await writeFile(
    path.join(shop, 'package.json'),
    '{ "name": "shop-handler", "type": "module", "exports": "./index.js" }',
  );
  await writeFile(path.join(shop, 'index.js'), 'export default () => {};');
  const env = { REDIS_URL: redis.url, QUEUE_NAME: 'package', HANDLER_MODULE: 'shop-handler', PAYALO_API_KEYS: testKey };
  const service = await startServiceProcess({ roles: ['work'], cwd: dir, env: { ...env, OPS_PORT: '0' } });
  expect(await service.stop('SIGTERM')).toMatchObject({ code: 0 });
});

test('callbacks are still answered while the handler hangs for ever', async () => {
  const module = await moduleOf('export default () => { for (;;) {} };', 'mjs');
  const env = { REDIS_URL: redis.url, QUEUE_NAME: 'busy', HANDLER_MODULE: module, PAYALO_API_KEYS: testKey };
  await using service = await startService({ env });
  const send = async () => {
    const request = { method: 'POST', headers: { 'x-api-key': testKey }, body: callbackBody() };
    return fetch(`${service.url}/webhooks/payalo`, { ...request, signal: AbortSignal.timeout(10_000) });
  };
  expect((await send()).status).toBe(200);
  const client = new Redis(redis.url);
  await until(async () => (await client.llen('{payalo}:busy:active')) === 1);
  for (let sent = 0; sent < 5; sent += 1) expect((await send()).status).toBe(200);
  expect(await client.exists('{payalo}:busy:completed', '{payalo}:busy:delayed')).toBe(0);
  client.disconnect();
});

test('the service exits with 78 and a sentence if the module does not exist', async () => {
  const env = {
    REDIS_URL: redis.url,
    HANDLER_MODULE: './no-such-module.mjs',
    PAYALO_API_KEYS: 'a-key-of-16-characters',
  };
  await expect(startService({ roles: ['work'], env })).rejects.toThrow(
    /ended with 78[\s\S]*HANDLER_MODULE: \.\/no-such-module\.mjs cannot be used/,
  );
});
