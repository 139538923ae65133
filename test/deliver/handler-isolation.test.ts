// Any fault of a HANDLER_MODULE costs only the attempt in which it occurs: it affects neither the service nor another
// callback's attempt.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { createRig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'isolation-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

let count = 0;

/** A module whose handler runs `trouble` at the first attempt of the callback `trouble`. */
async function moduleWith(trouble: string): Promise<{ module: string; calls: () => { pid: number }[] }> {
  count += 1;
  const module = path.join(dir, `handler-${count}.mjs`);
  const calls = path.join(dir, `calls-${count}`);
  await writeFile(
    module,
    `import { appendFileSync } from 'node:fs';
     import { parentPort } from 'node:worker_threads';
     const { stringify } = JSON;
     export default async ({ attempt, gatewayReference }) => {
       appendFileSync(${JSON.stringify(calls)}, stringify({ gatewayReference, attempt, pid: process.pid }) + '\\n');
       if (gatewayReference === 'trouble' && attempt === 1) { ${trouble} }
     };`,
  );
  const read = () => (existsSync(calls) ? readFileSync(calls, 'utf8').split('\n').slice(0, -1) : []);
  return { module, calls: () => read().map((line) => JSON.parse(line)) };
}

async function troubledRig(trouble: string, env: Readonly<Record<string, string>> = {}) {
  const { module } = await moduleWith(trouble);
  const rig = await createRig(redis, {
    env: { HANDLER_MODULE: module, FORWARD_TIMEOUT: '2s', FORWARD_CONCURRENCY: '2', ...env },
  });
  await rig.start();
  return rig;
}

const isolated: readonly (readonly [string, string])[] = [
  ["parentPort.postMessage('done')", "parentPort.postMessage('done'); await new Promise(() => {})"],
  [
    'a forged outcome to its parent',
    "(parentPort ?? process).postMessage({ kind: 'returned' }); await new Promise(() => {})",
  ],
  ['process.exit(0)', 'process.exit(0)'],
  ['process.abort', 'process.abort()'],
  ['process.kill(process.pid)', 'process.kill(process.pid); await new Promise(() => {})'],
  ['SIGKILL to itself', "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})"],
  ['a signal to its process group', "process.kill(0, 'SIGTERM'); await new Promise(() => {})"],
  ['an unhandled rejection', "Promise.reject(new Error('nobody looks')); await new Promise(() => {})"],
  ['an unhandled rejection of nothing', 'Promise.reject(); await new Promise(() => {})'],
  ['an exception in a timer', "setTimeout(() => { throw new RangeError('later') }); await new Promise(() => {})"],
  ['while (true) {}', 'for (;;) {}'],
  ['SIGSTOP to itself', "process.kill(process.pid, 'SIGSTOP'); await new Promise(() => {})"],
  [
    'closing its descriptors',
    "const fs = await import('node:fs'); for (const one of [0, 1, 2, 3]) try { fs.closeSync(one); } catch {} await new Promise(() => {})",
  ],
  [
    'a flood of empty lines on its channel',
    "const { writeSync } = await import('node:fs'); const lines = '\\n'.repeat(65_536); for (;;) try { writeSync(3, lines); } catch {}",
  ],
  ['microtasks without end', 'const again = () => Promise.resolve().then(again); await again()'],
  ['filling the heap', 'const all = []; for (;;) all.push(new Array(1e5).fill(Math.random()))'],
  [
    'globals that are overwritten',
    'globalThis.JSON = globalThis.Promise = globalThis.setTimeout = undefined; process.on = process.send = undefined; throw new Error()',
  ],
  ['throwing what cannot be read', "throw Object.defineProperty({}, 'message', { get() { throw new Error() } })"],
  ['throwing what cannot be a text', "throw { toString() { throw new Error('no text') } }"],
  ['throwing an error with a text of 5 MB', "throw new Error('x'.repeat(5_000_000))"],
];

test.for(isolated)('%s costs that attempt and nothing else', async ([, trouble]) => {
  await using rig = await troubledRig(trouble);
  const troubled = await rig.add({ gatewayReference: 'trouble' });
  const others = await Promise.all(Array.from({ length: 12 }, async () => rig.add()));
  for (const job of others) expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
  expect((await rig.settled(troubled)).returnvalue).toMatchObject({ attempt: 2 });
  expect(await rig.attemptsOf(troubled)).toEqual([expect.objectContaining({ attempt: 1 })]);
});

test.for([
  ["parentPort.postMessage('done')", "parentPort.postMessage('done'); await new Promise(() => {})"],
  ['process.kill(process.pid)', 'process.kill(process.pid); await new Promise(() => {})'],
  ['an unhandled rejection', "Promise.reject(new Error('nobody looks')); await new Promise(() => {})"],
  ['process.exit', 'process.exit()'],
] as const)('the service itself takes, delivers and answers on after %s', async ([, trouble]) => {
  const { module } = await moduleWith(trouble);
  const env = { REDIS_URL: redis.url, QUEUE_NAME: `isolation-${count}`, HANDLER_MODULE: module };
  await using service = await startService({
    env: { ...env, PAYALO_API_KEYS: testKey, FORWARD_RETRIES: '20ms', FORWARD_TIMEOUT: '2s' },
  });
  const send = async (gatewayReference: string) => {
    const body = callbackBody({ reference: gatewayReference });
    return fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  };
  expect((await send('trouble')).status).toBe(200);
  const delivered = (reference: string) =>
    service.logs.find((line) => line['gatewayReference'] === reference && line['verdict'] === 'delivered');
  await until(() => delivered('trouble'), { timeoutMs: 30_000 });
  expect(delivered('trouble')).toMatchObject({ attempt: 2 });
  expect((await send('after')).status).toBe(200);
  await until(() => delivered('after'), { timeoutMs: 30_000 });
  const events = service.logs.map(({ event }) => event);
  expect(events).not.toContain('service.failed');
  expect(events).not.toContain('service.stopping');
});

test.for([
  ['throws in a timer', "setTimeout(() => { throw new Error('late') }, 5)"],
  ['exits in a timer', 'setTimeout(() => process.exit(1), 5)'],
  ['leaves a rejection behind', "Promise.reject(new Error('nobody looks'))"],
  ['runs for ever', 'setImmediate(() => { for (;;) {} })'],
] as const)('a handler that %s after its answer costs no other callback an attempt', async ([, trouble]) => {
  await using rig = await troubledRig(trouble, { FORWARD_CONCURRENCY: '1' });
  const jobs = [await rig.add({ gatewayReference: 'trouble' })];
  for (let index = 0; index < 8; index += 1) jobs.push(await rig.add());
  for (const job of jobs) expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
});

test('a handler process ends with a killed service, even in an endless loop', async () => {
  const { module, calls } = await moduleWith('for (;;) {}');
  const env = { REDIS_URL: redis.url, QUEUE_NAME: `orphan-${count}`, HANDLER_MODULE: module };
  await using service = await startService({ env: { ...env, PAYALO_API_KEYS: testKey, FORWARD_TIMEOUT: '60s' } });
  const body = callbackBody({ reference: 'trouble' });
  await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  const { pid } = await until(() => calls()[0], { timeoutMs: 30_000 });
  expect(pid).not.toBe(service.pid);
  service.kill('SIGKILL');
  await until(() => !isAlive(pid), { describe: 'the handler process to end' });
});

test('a handler that allocates endlessly outside the heap is ended, too', async () => {
  const allocate =
    'const all = []; for (;;) { all.push(Buffer.alloc(4_000_000, 1)); await new Promise((next) => setImmediate(next)); }';
  await using rig = await troubledRig(allocate, { FORWARD_TIMEOUT: '60s' });
  const troubled = await rig.add({ gatewayReference: 'trouble' });
  expect((await rig.settled(troubled)).returnvalue).toMatchObject({ attempt: 2 });
});

test('an outcome on the handler’s channel that belongs to another attempt is ignored', async () => {
  count += 1;
  const module = path.join(dir, `forger-${count}.mjs`);
  await writeFile(
    module,
    `import { writeSync } from 'node:fs';
     export default async ({ attempt }) => {
       for (const text of ['{"kind":"returned"}', '{"kind":"returned","id":"1"}', 'done', '{', '\\0'.repeat(100_000)])
         try { writeSync(3, text + '\\n'); } catch {}
       if (attempt === 1) throw new TypeError('not done');
     };`,
  );
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module } });
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(job.returnvalue).toMatchObject({ attempt: 2 });
  expect(await rig.connection.exists(keysOf.jobLog(rig.queue, job.id ?? ''))).toBe(1);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
