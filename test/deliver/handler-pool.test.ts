// The processes of a HANDLER_MODULE: one that ends while it is idle, and one that cannot be started. Neither costs a
// callback an attempt.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig } from './rig.ts';

const node = process.execPath;
const { server: redis } = await withRedis({ durable: false });
let dir: string;
let module: string;
/** The callback `first` is held until this file exists. */
let gate: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'handler-pool-'));
  module = path.join(dir, 'handler.mjs');
  gate = path.join(dir, 'gate');
  await writeFile(
    module,
    `import { existsSync } from 'node:fs';
     import { setTimeout } from 'node:timers/promises';
     export default async ({ gatewayReference }) => {
       while (gatewayReference === 'first' && !existsSync(${JSON.stringify(gate)})) await setTimeout(10);
     };`,
  );
});
afterEach(() => {
  process.execPath = node;
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test('a process that ends while idle is reported, and the next callback gets another one', async () => {
  const pid = path.join(dir, 'pid');
  const own = path.join(dir, 'named.mjs');
  await writeFile(
    own,
    `import { writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(pid)}, String(process.pid));
     export default () => {};`,
  );
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: own } });
  await rig.start(); // it imports the module once, and keeps that process
  const first = Number(readFileSync(pid, 'utf8'));
  process.kill(first, 'SIGKILL');
  const ended = () => rig.logs.filter(({ event }) => event === 'handler.process_ended');
  await until(() => ended().length > 0, { describe: 'the end of the process to be reported' });
  expect(ended()).toMatchObject([{ level: 'warn', error: 'ended by SIGKILL' }]);
  expect((await rig.settled(await rig.add())).returnvalue).toMatchObject({ attempt: 1 });
  expect(Number(readFileSync(pid, 'utf8'))).not.toBe(first);
});

test('a process that cannot be started, for example after Node was replaced on the disk, costs no attempt', async () => {
  await using rig = await createRig(redis, { env: { HANDLER_MODULE: module } });
  process.execPath = path.join(dir, 'node-that-was-removed');
  await expect(rig.start()).rejects.toThrow(/cannot be used: importing it could not start a process: spawn .* ENOENT/);
  process.execPath = node;
  await rig.start();
  // The one process that is kept is busy with the first callback; the second one needs another.
  process.execPath = path.join(dir, 'node-that-was-removed');
  const jobs = [await rig.add({ gatewayReference: 'first' }), await rig.add({ gatewayReference: 'second' })];
  const broken = () => rig.logs.filter(({ event }) => event === 'delivery.broken');
  await until(() => broken().length > 0, { describe: 'a process to be missing' });
  process.execPath = node;
  await writeFile(gate, '');
  for (const job of jobs) expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
  expect(rig.attempted()).toHaveLength(2);
});

test('without free descriptors for its pipes, starting it fails with a sentence, and works again once there are some', async () => {
  const program = path.join(dir, 'without-descriptors.ts');
  const source = new URL('../../src/deliver/handler/handler-child.ts', import.meta.url).href;
  await writeFile(
    program,
    `import { closeSync, openSync } from 'node:fs';
     import { startHandlerChild } from ${JSON.stringify(source)};
     const wordOf = (child) => new Promise((resolve) => child.onWord(resolve));
     const start = () => startHandlerChild(${JSON.stringify(pathToFileURL(module).href)}, 1e9);
     const awake = setInterval(() => undefined, 1_000); // handler processes do not keep this process alive
     const held = [];
     try { for (;;) held.push(openSync('/dev/null')); } catch {}
     const first = start();
     for (const one of held) closeSync(one);
     const words = [await wordOf(first)];
     await first.close(); // does not wait for a process that never started
     const second = start();
     words.push(await wordOf(second));
     await second.close();
     clearInterval(awake);
     console.log(JSON.stringify({ words, isAlive: first.isAlive() }));`,
  );
  const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -n 100 && exec "$0" "$1"', node, program], {
    timeout: 30_000,
  });
  expect(JSON.parse(stdout)).toEqual({
    words: [
      { kind: 'ended', error: expect.stringMatching(/^could not start a process: spawn .* EMFILE$/) },
      { kind: 'ready' },
    ],
    isAlive: false,
  });
});
