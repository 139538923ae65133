// The operator commands as a user runs them: as processes, against a real Redis, with and without a service.
import { once } from 'node:events';
import { createServer } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createProgram } from '../../src/cli.ts';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { runCli, type CliRun } from '../support/cli.ts';
import { startRedis } from '../support/redis.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const { server: redis } = await withRedis();
let stored: StoredCallbacks;
let cwd: string;

beforeAll(async () => {
  cwd = await makeTempDir('cli');
  stored = createStoredCallbacks(redis.url, 'default', '{cli}');
});

afterAll(async () => {
  await stored[Symbol.asyncDispose]();
});

function run(args: readonly string[], env: Record<string, string> = {}): Promise<CliRun> {
  return runCli(args, {
    REDIS_URL: redis.url,
    QUEUE_NAME: 'callbacks',
    QUEUE_PREFIX: '{cli}',
    PAYALO_API_KEYS: testKey,
    SPOOL_DIR: path.join(cwd, 'spool'),
    ...env,
  });
}

const jsonOf = ({ out }: CliRun) => z.record(z.string(), z.unknown()).parse(JSON.parse(out));

describe('inspect', () => {
  test('shows everything about a callback, for people and for programs', async () => {
    const reference = await stored.store({ merchantReference: 'order-7' });
    await stored.deliver();
    const human = await run(['inspect', reference]);
    expect(human.code).toBe(0);
    for (const part of ['delivered', '100.00 KES', 'order-7', reference, '200']) expect(human.out).toContain(part);
    expect(human.out).not.toContain('\u001B');
    expect(jsonOf(await run(['inspect', reference, '--json']))).toMatchObject({
      state: 'delivered',
      body: callbackBody({ reference, merchantReference: 'order-7' }),
    });
    expect((await run(['inspect', '--merchant-reference', 'order-7'])).out).toContain(reference);
  });

  test('exits with 1 if nothing is found, and with 2 on wrong usage', async () => {
    expect(await run(['inspect', 'never'])).toMatchObject({ code: 1, out: '' });
    expect((await run(['inspect', '--state', 'bogus'])).code).toBe(2);
    expect((await run(['inspect', '--from', 'yesterday'])).code).toBe(2);
    expect((await run(['bogus'])).code).toBe(2);
  });

  test('lets no body send control characters to the terminal', async () => {
    const reference = await stored.store({ merchantReference: 'x\u001B[2Jy' });
    const { out } = await run(['inspect', reference]);
    expect(out).not.toContain('\u001B');
    await stored.deliver();
  });
});

test('replays one and all, and reports what it could not replay', async () => {
  const references = [await stored.store(), await stored.store()];
  for (const _ of references) await stored.fail();
  expect((await run(['replay'])).code).toBe(2);
  expect((await run(['replay', 'never'])).code).toBe(1);
  expect(await run(['replay', references[0] ?? ''])).toMatchObject({ code: 0 });
  expect(jsonOf(await run(['replay', '--state', 'failed', '--from', '1h', '--json']))).toEqual({
    count: 1,
    replayed: 1,
  });
  expect(await stored.redis.llen(`${stored.queue.base}:wait`)).toBe(2);
  for (const _ of references) await stored.deliver();
});

test('erases only with --yes, and keeps the rest', async () => {
  const reference = await stored.store();
  await stored.deliver();
  expect((await run(['erase', reference])).code).toBe(2);
  expect((await run(['erase', reference, '--yes'])).code).toBe(0);
  expect(jsonOf(await run(['inspect', reference, '--json']))).toMatchObject({ state: 'delivered', body: null });
  expect(await run(['replay', reference])).toMatchObject({ code: 1, out: expect.stringContaining('body is gone') });
});

test('lists the quarantine, shows an entry, and releases or deletes it', async () => {
  const reference = await stored.store();
  await stored.deliver();
  await stored.store({ reference, amount: '5' });
  const page = z
    .object({ data: z.array(z.object({ id: z.string() })) })
    .parse(jsonOf(await run(['quarantine', '--json'])));
  const id = page.data[0]?.id ?? '';
  expect(id).toMatch(/^[a-z]/); // an id that starts with `-` would look like an option
  expect((await run(['quarantine'])).out).toContain('conflict');
  expect((await run(['quarantine', 'show', id])).out).toContain('"value": 5');
  expect((await run(['quarantine', 'release', id])).code).toBe(0);
  expect(jsonOf(await run(['inspect', reference, '--json']))).toMatchObject({ source: 'correction', sequence: 1 });
  expect((await run(['quarantine', 'delete', id])).code).toBe(1);
});

test('does not mistake a missing folder for an empty spool', async () => {
  for (const command of [
    ['spool', 'list'],
    ['spool', 'drain'],
  ]) {
    const { code, err } = await run([...command, '--dir', path.join(cwd, 'mistyped')]);
    expect(code).toBe(2);
    expect(err).toMatch(/^--dir: there is no folder .*mistyped/);
  }
});

test('drains the spool of a service that is down', async () => {
  expect((await run(['spool'])).out).toContain('empty');
  expect(jsonOf(await run(['spool', 'drain', '--json']))).toEqual({ drained: 0, left: 0, untouched: 0 });
});

describe('send', () => {
  test('sends what the gateway would, and reports the answer', async () => {
    const seen: { key: unknown; body: string }[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (text) => (body += String(text)));
      request.on('end', () => {
        seen.push({ key: request.headers['x-api-key'], body });
        response.writeHead(seen.length === 1 ? 200 : 401).end('{"status":"ok"}');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const url = `http://127.0.0.1:${port}/hook`;
    const args = ['send', '--url', url, '--amount', '12.50', '--reference', 'r-1', '--status', 'failed'];
    expect(await run(args)).toMatchObject({ code: 0, out: expect.stringContaining('200') });
    expect(seen[0]).toMatchObject({ key: testKey, body: expect.stringContaining('"value":12.50') });
    expect(JSON.parse(seen[0]?.body ?? '')).toMatchObject({ gatewayReference: 'r-1', status: 'failed' });
    expect((await run(args)).code).toBe(1);
    server.close();
    await once(server, 'close');
    expect(await run(args)).toMatchObject({ code: 69, err: expect.stringContaining('did not answer') });
  });

  test('reaches the real service, which stores it', async () => {
    await using service = await startService({
      roles: ['receive'],
      env: { REDIS_URL: redis.url, PAYALO_API_KEYS: testKey },
    });
    const url = `${service.url}/webhooks/payalo`;
    expect(await run(['send', '--url', url, '--reference', 'sent-1'])).toMatchObject({ code: 0 });
    const env = { QUEUE_NAME: 'payalo-callbacks', QUEUE_PREFIX: '{payalo}' };
    expect(jsonOf(await run(['inspect', 'sent-1', '--json'], env))).toMatchObject({ state: 'queued' });
  });
});

test('the doctor command finds a healthy Redis healthy, and exits with 0', async () => {
  const well = await run(['doctor', '--json']);
  expect(jsonOf(well)['checks']).toContainEqual(expect.objectContaining({ name: 'Redis appendonly', status: 'ok' }));
  expect(jsonOf(well)['checks']).not.toContainEqual(expect.objectContaining({ status: 'problem' }));
  expect(well.code).toBe(0);
});

test('the doctor reports findings, and exits with 1 if one is a problem', async () => {
  const { code, out } = await run(['doctor', '--json'], { REDIS_URL: 'redis://127.0.0.1:1' });
  expect(code).toBe(1);
  expect(out).toContain('Redis');
});

test('reports in one sentence that Redis is down, and that the configuration is invalid', async () => {
  const away = await run(['inspect', 'x'], { REDIS_URL: 'redis://user:secret@127.0.0.1:1' });
  expect(away).toMatchObject({ code: 69, out: '' });
  expect(away.err).toContain('127.0.0.1:1');
  expect(away.err).not.toContain('secret');
  expect(await run(['inspect', 'x'], { BODY_LIMIT: 'much' })).toMatchObject({
    code: 78,
    err: expect.stringContaining('BODY_LIMIT'),
  });
});

describe('errors are one sentence, without a stack', () => {
  test.each([
    ['a file that is not there', ['send', '--file', 'missing.json'], 'missing.json'],
    ['an invalid URL', ['send', '--url', 'not-a-url'], 'not-a-url'],
    ['an invalid cursor', ['inspect', '--cursor', 'bogus'], 'cursor'],
    ['a brand that is not configured', ['inspect', '--brand', 'nobody'], 'nobody'],
    ['a sweep of a brand that is not configured', ['reconcile', '--from', '1h', '--brand', 'nobody'], 'nobody'],
    ['an invalid port', ['simulate', '--gateway-port', '99999'], '65535'],
    ['an invalid share', ['simulate', '--loss', 'most'], '0 to 1'],
  ])('%s: 2', async (_name, args, message) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
    expect(err).not.toMatch(/^\s+at /m);
  });

  test('a port in use, and a Redis that refuses connections: 69', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const simulate = await run(['simulate', '--gateway-port', String(port)]);
    server.close();
    expect(simulate).toMatchObject({ code: 69, err: expect.stringContaining(String(port)) });
    expect(simulate.err).not.toMatch(/^\s+at /m);

    await using guarded = await startRedis({ args: ['--requirepass', 'a-password'] });
    const refused = await run(['inspect', 'x'], { REDIS_URL: guarded.url });
    expect(refused).toMatchObject({ code: 69, err: expect.stringContaining('NOAUTH') });
    expect(refused.err).not.toMatch(/^\s+at /m);
  });
});

test('every command of the contract exists and has help with examples', async () => {
  const helps = (await createProgram()).commands.map((command) => {
    let help = '';
    command.configureOutput({ writeOut: (text) => void (help += text) }).outputHelp();
    return { name: command.name(), help };
  });
  expect(helps.map(({ name }) => name).toSorted()).toEqual(contractCommands);
  const silent = helps.filter(
    ({ name, help }) => !help.includes(`payalo-receiver ${name}`) || !help.includes('Examples:'),
  );
  expect(silent.map(({ name }) => name)).toEqual([]);
  expect(await run(['--help'])).toMatchObject({ code: 0, out: expect.stringContaining('Examples:') });
});

const contractCommands = [
  'audit',
  'brand',
  'config',
  'deliver',
  'doctor',
  'erase',
  'inspect',
  'listen',
  'payin',
  'quarantine',
  'reconcile',
  'replay',
  'report',
  'send',
  'simulate',
  'spool',
  'verify',
];
