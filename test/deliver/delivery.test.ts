// Delivery over HTTP: what a merchant's endpoint receives, and what is recorded.
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, terminalWebhookId } from './rig.ts';

const { server: redis } = await withRedis();

test('retries after 500, 404 and 401 until a 200, all under one webhook-id, and records every attempt', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next(answer(500, { body: 'out of order' }), answer(404), answer(401), answer(200));
  await rig.start();
  const job = await rig.settled(await rig.add({ gatewayReference: 'four' }));

  const deliveries = rig.merchant.deliveries();
  expect(deliveries.map(({ headers }) => headers['payalo-attempt'])).toEqual(['1', '2', '3', '4']);
  expect(new Set(deliveries.map(({ webhookId }) => webhookId))).toEqual(new Set([terminalWebhookId('four')]));
  expect(job.returnvalue).toEqual({ at: expect.any(Number), ms: expect.any(Number), status: 200, attempt: 4 });
  expect(await rig.attemptsOf(job)).toEqual([
    { attempt: 1, at: expect.any(Number), ms: expect.any(Number), status: 500, answer: 'out of order' },
    { attempt: 2, at: expect.any(Number), ms: expect.any(Number), status: 404, answer: '' },
    { attempt: 3, at: expect.any(Number), ms: expect.any(Number), status: 401, answer: '' },
  ]);
});

test('sends the body byte for byte with the headers of the contract', async () => {
  await using rig = await createRig(redis);
  await rig.start();
  const body = '\uFEFF{ "finalAmount" :  {"value":100.00}, "note": "Ünïcödé 😀" }';
  await rig.settled(await rig.add({ gatewayReference: 'bytes', body, requestId: 'req-1', source: 'records' }));
  const [delivery] = rig.merchant.deliveries();
  expect(delivery?.body).toEqual(Buffer.from(body));
  expect(delivery?.method).toBe('POST');
  expect(delivery?.headers).toMatchObject({
    'content-type': 'application/json',
    'webhook-id': terminalWebhookId('bytes'),
    'payalo-gateway-reference': 'bytes',
    'payalo-brand': 'default',
    'payalo-source': 'records',
    'payalo-attempt': '1',
    'payalo-request-id': 'req-1',
    'payalo-sequence': '0',
  });
  expect(delivery?.headers).not.toHaveProperty('webhook-signature');
});

test.for([
  ['Cyrillic', 'ссылка-№1'],
  ['emoji', '😀👩‍👩‍👧'],
  ['a NUL', 'a\u0000b'],
  ['line breaks', 'a\r\nX-Injected: yes\n'],
  ['a lone surrogate', 'a\uD800b'],
  ['255 two-byte letters', 'я'.repeat(255)],
])('delivers a reference with %s at the first attempt', async ([, gatewayReference = '']) => {
  await using rig = await createRig(redis);
  await rig.start();
  await rig.settled(await rig.add({ gatewayReference }));
  const [delivery, ...more] = rig.merchant.deliveries();
  expect(more).toEqual([]);
  const header = delivery?.headers['payalo-gateway-reference'];
  expect(decodeURIComponent(String(header))).toBe(gatewayReference.toWellFormed());
  expect(delivery?.headers).not.toHaveProperty('x-injected');
});

test('signs so that the standardwebhooks library verifies it, with one signature per secret during a rotation', async () => {
  const secrets = ['whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0', 'whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0'];
  await using rig = await createRig(redis, { env: { FORWARD_SECRET: secrets.join(',') } });
  await rig.start();
  await rig.settled(await rig.add());
  const [delivery] = rig.merchant.deliveries();
  const headers = Object.fromEntries(
    Object.entries(delivery?.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
  for (const secret of secrets) {
    expect(() => new Webhook(secret).verify(delivery?.body ?? '', headers)).not.toThrow();
  }
  expect(() => new Webhook('whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0').verify(delivery?.body ?? '', headers)).toThrow(
    'No matching signature',
  );
});

test('never follows a redirect: it is a failed attempt', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next(answer(302, { location: `${rig.url}/elsewhere` }), answer(307, { location: '/elsewhere' }));
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(rig.merchant.deliveries().map(({ path }) => path)).toEqual(['/payments', '/payments', '/payments']);
  expect(await rig.attemptsOf(job)).toMatchObject([{ status: 302 }, { status: 307 }]);
});

test.for([
  ['a hang', { kind: 'hang' }, 'timeout'],
  ['a reset connection', { kind: 'reset' }, 'ECONNRESET'],
  ['bytes that are not HTTP', { kind: 'garbage' }, 'HTTPParserError'],
] as const)('treats %s as a failed attempt and continues', async ([, behaviour, error]) => {
  await using rig = await createRig(redis, { env: { FORWARD_TIMEOUT: '300ms' } });
  rig.merchant.next(behaviour);
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(await rig.attemptsOf(job)).toMatchObject([{ attempt: 1, error }]);
  expect(job.returnvalue).toMatchObject({ status: 200, attempt: 2 });
});

test('treats a 2xx with a body of any size as delivered', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next({ kind: 'flood', bytes: 50_000_000 });
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(job.returnvalue).toMatchObject({ status: 200, attempt: 1 });
});

test('waits for Retry-After if that is longer than the schedule', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next(answer(503, { retryAfter: 2 }));
  await rig.start();
  await rig.settled(await rig.add());
  const [first, second] = rig.merchant.deliveries();
  expect((second?.receivedAtMs ?? 0) - (first?.receivedAtMs ?? 0)).toBeGreaterThanOrEqual(2_000);
});

test('one poison callback among 50 is retried and failed; the other 49 are delivered at their first attempt', async () => {
  await using rig = await createRig(redis);
  rig.merchant.always(({ headers }) => answer(headers['payalo-gateway-reference'] === 'poison' ? 500 : 200));
  await rig.start();
  const [poison, ...others] = await Promise.all(
    Array.from({ length: 50 }, async (_, index) =>
      rig.add({ gatewayReference: index === 0 ? 'poison' : `fine${index}` }),
    ),
  );
  for (const job of others) {
    expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
  }
  if (poison === undefined) throw new Error('no poison');
  const failed = await rig.settled(poison, 'failed');
  expect(failed.failedReason).toBe('HTTP 500, the last of 4 attempts');
  expect(await rig.attemptsOf(failed)).toHaveLength(4);
});

test('after the last attempt a callback is failed and kept; replay delivers it under its id and continues the count', async () => {
  await using rig = await createRig(redis);
  rig.merchant.always(answer(500));
  await rig.start();
  const failed = await rig.settled(await rig.add({ gatewayReference: 'exhausted' }), 'failed');
  expect(await rig.attemptsOf(failed)).toHaveLength(4);

  // The schedule restarts: two failures, then success.
  rig.merchant.always(answer(200));
  rig.merchant.next(answer(500), answer(500));
  expect(await replay(rig.connection, rig.queue, failed.id ?? '')).toEqual({ kind: 'replayed' });
  const delivered = await rig.settled(failed);
  expect(delivered.returnvalue).toMatchObject({ status: 200, attempt: 7 });
  expect(rig.merchant.deliveries().map(({ headers }) => headers['payalo-attempt'])).toEqual('1234567'.split(''));
  expect(new Set(rig.merchant.deliveries().map(({ webhookId }) => webhookId)).size).toBe(1);

  // A delivered callback too; its successful attempt stays recorded.
  expect(await replay(rig.connection, rig.queue, failed.id ?? '')).toEqual({ kind: 'replayed' });
  await until(() => rig.merchant.deliveries().length === 8);
  const again = await rig.settled(failed);
  expect(again.returnvalue).toMatchObject({ attempt: 8 });
  expect(await rig.attemptsOf(again)).toMatchObject([1, 2, 3, 4, 5, 6, 7].map((attempt) => ({ attempt })));
});

test('fails a job whose data is not a callback, keeps its data, and continues', async () => {
  await using rig = await createRig(redis);
  const poison = await rig.bull.add('callback', { version: 1, body: 5 }, { jobId: 'poisoned.x', attempts: 12 });
  const fine = await rig.add();
  await rig.start();
  await rig.settled(fine);
  const failed = await rig.settled(poison, 'failed');
  expect(failed.failedReason).toMatch(/data is no callback of version 1: .*body/);
  expect(failed.data).toEqual({ version: 1, body: 5 });
  expect(failed.attemptsMade).toBe(1);
});

test('fails a job whose data is not JSON at its first activation, keeps its data, and continues', async () => {
  await using rig = await createRig(redis);
  const [poison, ...fine] = [await rig.add(), await rig.add(), await rig.add()];
  if (poison === undefined) throw new Error('no poison');
  const key = keysOf.job(rig.queue, poison.id ?? '');
  await rig.connection.hset(key, 'data', 'no JSON {');
  await rig.start();
  for (const job of fine) await rig.settled(job);
  await until(async () => (await poison.getState()) === 'failed', { describe: 'the poisoned job to be failed' });
  const [data, reason, activations] = await rig.connection.hmget(key, 'data', 'failedReason', 'ats');
  expect(data).toBe('no JSON {');
  expect(reason).toMatch(/data is no callback of version 1/);
  expect(activations).toBe('1');
  expect(rig.logs.filter(({ event }) => event === 'delivery.worker_error')).toEqual([]);
});

test('does not retry a callback that a correction has replaced meanwhile', async () => {
  await using rig = await createRig(redis);
  rig.merchant.always(answer(500, { delayMs: 300 }));
  await rig.start();
  const job = await rig.add();
  await until(() => rig.merchant.deliveries().length === 1);
  await rig.connection.hset(keysOf.job(rig.queue, job.id ?? ''), 'superseded', 1);
  const done = await rig.settled(job);
  expect(done.returnvalue).toEqual({ superseded: true });
  expect(rig.merchant.deliveries()).toHaveLength(1);
});

test('sends a correction under its own id with its sequence', async () => {
  await using rig = await createRig(redis);
  await rig.start();
  await rig.settled(await rig.add({ gatewayReference: 'corrected', source: 'correction', sequence: 2 }));
  const [delivery] = rig.merchant.deliveries();
  expect(delivery?.headers).toMatchObject({ 'payalo-sequence': '2', 'payalo-source': 'correction' });
  expect(delivery?.webhookId).toBe(terminalWebhookId('corrected', 2));
  expect(delivery?.webhookId).not.toBe(terminalWebhookId('corrected'));
});

test('never has more than FORWARD_CONCURRENCY deliveries in flight, on as many connections', async () => {
  let inFlight = 0;
  let most = 0;
  const ports = new Set<number | undefined>();
  const server = createServer((request, response) => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    ports.add(request.socket.remotePort);
    request.resume().on('end', () => {
      setTimeout(() => {
        inFlight -= 1;
        response.end();
      }, 10);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
  await using rig = await createRig(redis, { env: { FORWARD_URL: url, FORWARD_CONCURRENCY: '5' } });
  const jobs = await Promise.all(Array.from({ length: 60 }, async () => rig.add()));
  await rig.start();
  for (const job of jobs) await rig.settled(job);
  server.close();
  expect(most).toBe(5);
  expect(ports.size).toBe(5);
});

test('sends the configured headers and the credentials of the URL, and logs neither', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'headers-'));
  const file = path.join(dir, 'headers.json');
  await writeFile(
    file,
    JSON.stringify({ 'X-Token': 'header-secret', 'Content-Type': 'text/plain', Connection: 'close' }),
  );
  await using plain = await createRig(redis);
  const withUser = plain.url.replace('http://', 'http://shop:p%40ss-secret@');
  await using rig = await createRig(redis, { env: { FORWARD_URL: withUser, FORWARD_HEADERS_FILE: file } });
  plain.merchant.next(answer(500));
  await rig.start();
  await rig.settled(await rig.add());
  for (const { headers } of plain.merchant.deliveries()) {
    expect(headers).toMatchObject({
      authorization: `Basic ${Buffer.from('shop:p@ss-secret').toString('base64')}`,
      'x-token': 'header-secret',
      'content-type': 'application/json',
      connection: 'keep-alive',
    });
  }
  expect(plain.merchant.deliveries()).toHaveLength(2);
  expect(rig.output.join('')).not.toMatch(/secret|Basic/);
});

test('counts and logs one line per attempt, without body or answer', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next(answer(500, { body: 'Mrs Wanjiku, 254700000000' }));
  const { metrics } = await rig.start();
  await rig.settled(await rig.add({ gatewayReference: 'logged', requestId: 'req-9' }));
  expect(rig.attempted()).toMatchObject([
    { gatewayReference: 'logged', attempt: 1, status: 500, verdict: 'retried', brand: 'default', requestId: 'req-9' },
    {
      gatewayReference: 'logged',
      attempt: 2,
      status: 200,
      verdict: 'delivered',
      webhookId: terminalWebhookId('logged'),
    },
  ]);
  expect(rig.output.join('')).not.toContain('254700000000');
  const text = await metrics.registry.metrics();
  expect(text).toContain('payalo_deliveries_total{outcome="delivered"} 1');
  expect(text).toContain('payalo_deliveries_total{outcome="retried"} 1');
  expect(text).toContain('payalo_delivery_seconds_count 2');
  expect(text).toContain('payalo_end_to_end_seconds_count 1');
  expect(text).toContain('payalo_breaker_open{brand="default"} 0');
});
