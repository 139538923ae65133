// With --json each command, as a process, prints one JSON document on standard output, however it ends, and nothing else.
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { testKey } from '../support/callbacks.ts';
import { startCli } from '../support/cli.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const { server: redis } = await withRedis();
let stored: StoredCallbacks;
let cwd: string;

beforeAll(async () => {
  cwd = await makeTempDir('json');
  stored = createStoredCallbacks(redis.url, 'default', '{json}');
});

afterAll(async () => {
  await stored[Symbol.asyncDispose]();
});

function start(args: readonly string[], env: Record<string, string> = {}) {
  return startCli(args, {
    REDIS_URL: redis.url,
    QUEUE_NAME: 'callbacks',
    QUEUE_PREFIX: '{json}',
    PAYALO_API_KEYS: testKey,
    GATEWAY_BASE_URL: 'http://127.0.0.1:9',
    SPOOL_DIR: path.join(cwd, 'spool'),
    ...env,
  });
}

async function run(args: readonly string[], env?: Record<string, string>) {
  const { code, out, err } = await start(args, env).ended;
  const json = z.record(z.string(), z.unknown()).parse(JSON.parse(out));
  return { code, err, json };
}

test.each([
  ['a list', ['inspect'], 0, ['data', 'next']],
  ['a list of quarantine', ['quarantine'], 0, ['data', 'next']],
  ['a spool', ['spool'], 0, ['folders']],
  ['a replay of an unknown callback', ['replay', 'never'], 1, ['gatewayReference', 'outcome']],
  ['an erasure of an unknown callback', ['erase', 'never', '--yes'], 1, ['gatewayReference', 'outcome']],
  ['an unknown callback', ['inspect', 'never'], 1, ['error']],
  ['an unknown quarantine entry', ['quarantine', 'show', 'never'], 1, ['error']],
  ['a missing folder', ['spool', 'list', '--dir', 'mistyped'], 2, ['error']],
  ['an invalid cursor', ['inspect', '--cursor', 'bogus'], 2, ['error']],
  ['an unknown option', ['inspect', '--bogus'], 2, ['error']],
  ['a command without a required option', ['erase', 'never'], 2, ['error']],
  ['a listener that is down', ['send', '--url', 'http://127.0.0.1:9/'], 69, ['error']],
])('%s', async (_name, args, code, keys) => {
  await stored.store();
  const ran = await run(['--json', ...args]);
  expect({ code: ran.code, keys: Object.keys(ran.json) }).toEqual({ code, keys });
});

test('an empty page with a next one: exit code 0, since matches may follow', async () => {
  const nowMs = Date.now();
  await stored.store({ status: 'failed', receivedAtMs: nowMs + 1_000 });
  await stored.store({ status: 'success', receivedAtMs: nowMs + 2_000 });
  const asked = ['inspect', '--json', '--state', 'queued', '--status', 'failed', '--limit', '1'];
  const first = await run(asked);
  expect(first).toMatchObject({ code: 0, json: { data: [], next: expect.any(String) } });
  const second = await run([...asked, '--cursor', String(first.json['next'])]);
  expect(second).toMatchObject({ code: 0, json: { data: [{ status: 'failed' }] } });
});

test('an invalid configuration: the same text that people get on standard error', async () => {
  const { code, json, err } = await run(['inspect', '--json'], { BODY_LIMIT: 'much' });
  expect({ code, error: json['error'] }).toEqual({ code: 78, error: expect.stringContaining('BODY_LIMIT') });
  expect(err).toContain('BODY_LIMIT');
});

test('a Redis that goes down during the command: an error that says so, and 69', async () => {
  const fake = createServer((socket) => {
    socket.on('data', (data) => {
      const commands = String(data)
        .split(/^\*\d+\r\n/m)
        .slice(1);
      for (const command of commands) {
        if (/^(mget|hvals)\r$/im.test(command)) socket.destroy();
        else socket.write('+OK\r\n');
      }
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(fake, 'listening');
  const { port } = z.object({ port: z.number() }).parse(fake.address());
  const { code, json } = await run(['inspect', 'some', '--json'], { REDIS_URL: `redis://127.0.0.1:${port}` });
  fake.close();
  expect({ code, error: json['error'] }).toEqual({ code: 69, error: expect.stringContaining('Redis was lost') });
});

test('a simulator: its addresses; its log goes to standard error', async () => {
  const simulator = start(['simulate', '--json', '--gateway-port', '0', '--merchant-port', '0']);
  const { gateway, merchant } = await until(() => {
    const urls = z.object({ gateway: z.url(), controls: z.url(), merchant: z.url(), key: z.string() });
    return simulator.texts.out !== '' && urls.parse(JSON.parse(simulator.texts.out));
  });
  expect(gateway).not.toBe(merchant);
  await fetch(merchant, { method: 'POST', body: '{}' });
  await until(() => simulator.texts.err.includes('2 bytes'));
  simulator.kill('SIGTERM');
  expect((await simulator.ended).code).toBe(0);
  expect(() => JSON.parse(simulator.texts.out)).not.toThrow();
});
