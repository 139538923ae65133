// Any input, over the network or through Redis, is answered or set aside: no 5xx, no crash, and a genuine callback
// afterwards is delivered. The seed is fixed, so that a failure is caused by a change; FUZZ_SEED sets another one.
import { Queue } from 'bullmq';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isOfLaterVersion } from '../src/callback/job.ts';
import { callbackBody, newReference, testKey } from './support/callbacks.ts';
import { startMerchant, type Merchant } from './support/merchant.ts';
import { rawHttp, requestText } from './support/raw-http.ts';
import { withRedis } from './support/with-redis.ts';
import { startService, type TestService } from './support/service.ts';
import { until } from './support/until.ts';
import { serviceQueue } from './support/queues.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? 2026);
const path = '/webhooks/payalo';
const queueOf = serviceQueue();
const patience = { timeoutMs: 20_000 };

const { server: redis } = await withRedis();
let merchant: Merchant;
let service: TestService;

beforeAll(async () => {
  merchant = await startMerchant();
  service = await startService({
    env: {
      PAYALO_API_KEYS: testKey,
      REDIS_URL: redis.url,
      FORWARD_URL: merchant.url,
      FORWARD_RETRIES: '10ms,10ms',
      BODY_LIMIT: '65536',
      AUTH_FAILURES_PER_MINUTE: '1000000',
    },
  });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await merchant[Symbol.asyncDispose]();
});

/** JSON as some other language might write it, in or near the shape of a callback. */
const oddString = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.constantFrom('', '\0', '\r\n', '\uD800', '__proto__'),
);
const oddValue = fc.oneof(
  oddString,
  fc.jsonValue(),
  fc.double(),
  fc.bigInt(),
  fc.constantFrom(null, true, 1e308, -0, [], {}, [[[[[]]]]]),
);
const callbackFields = ['status', 'type', 'flow', 'gatewayReference', 'merchantReference', 'finalAmount', 'createdAt'];
const nearCallback = fc
  .record(Object.fromEntries(callbackFields.map((name) => [name, oddValue])), { requiredKeys: [] })
  .map(jsonOf);
const brokenCallback = fc.tuple(fc.nat(600), fc.nat(60), fc.uint8Array({ maxLength: 8 })).map(([at, cut, bytes]) => {
  const whole = Buffer.from(callbackBody());
  return Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + cut)]);
});
const body = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  nearCallback.map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(text)),
  brokenCallback,
  fc.nat(20_000).map((depth) => Buffer.from('['.repeat(depth))),
);

function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner));
}

test('any body under a genuine key is answered with 200, 400, 413 or 422', async () => {
  const property = fc.asyncProperty(body, async (bytes) => {
    const answer = await fetch(`${service.url}${path}`, {
      method: 'POST',
      headers: { 'x-api-key': testKey },
      body: new Uint8Array(bytes),
    });
    await answer.body?.cancel();
    expect([200, 400, 413, 422]).toContain(answer.status);
  });
  await fc.assert(property, { seed, numRuns: 400 });
  await expectWell();
});

test('any bytes instead of a request, and any headers, are answered below 500 or cut off', async () => {
  const headerLine = fc.oneof(
    fc
      .tuple(fc.string({ maxLength: 30 }), fc.string({ unit: 'binary', maxLength: 200 }))
      .map((pair) => pair.join(': ')),
    fc.constantFrom('Transfer-Encoding: chunked', 'Expect: 100-continue', 'Upgrade: h2c', 'Connection: close, , x'),
    fc
      .tuple(fc.constantFrom('Content-Length', 'X-Api-Key', 'Host', 'X-Forwarded-For', 'Content-Type'), fc.string())
      .map((pair) => pair.join(': ')),
    fc.constant(`X-API-KEY: ${testKey}`),
  );
  const request = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(
        fc.oneof(
          fc.constantFrom(`POST ${path} HTTP/1.1`, 'GET /readyz HTTP/1.1', `PUT ${path}?%ZZ HTTP/1.0`),
          fc.string(),
        ),
        fc.array(headerLine, { maxLength: 8 }),
        body,
      )
      .map(([line, headers, content]) =>
        Buffer.concat([Buffer.from(requestText(line, [...headers, `Content-Length: ${content.length}`])), content]),
      ),
  );
  const property = fc.asyncProperty(request, async (bytes) => {
    // The service waits for the rest of an incomplete request; the test need not.
    const { status } = await rawHttp(service.url, bytes, { timeoutMs: 50 });
    expect(status ?? 0).toBeLessThan(500);
  });
  await fc.assert(property, { seed, numRuns: 200 });
  await expectWell();
});

test('any job in the queue is delivered, set aside as failed, or waits for its later release, and stops no other', async () => {
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue(queueOf.name, { connection, prefix: queueOf.prefix });
  const jobFields = fc.record({
    version: fc.constantFrom<unknown>(1, 2, '1', null),
    brand: fc.oneof(fc.constant('default'), oddString),
    source: fc.oneof(fc.constant('callback'), oddString),
    gatewayReference: oddString,
    merchantReference: fc.option(oddString),
    status: fc.option(oddString),
    type: fc.option(oddString),
    receivedAt: fc.oneof(fc.constant(new Date(0).toISOString()), oddString),
    requestId: oddString,
    body: fc.oneof(oddString, nearCallback),
    sequence: fc.oneof(fc.integer(), oddString),
  });
  const name = fc.oneof(fc.constant('callback'), fc.string({ minLength: 1 }));
  const jobs = fc.sample(fc.tuple(name, fc.oneof(jobFields, fc.jsonValue())), { seed, numRuns: 300 });
  const laterOnes = jobs.filter(([, data]) => isOfLaterVersion(data)).length;
  expect(laterOnes).toBeGreaterThan(0);
  for (const [jobName, data] of jobs) await queue.add(jobName, data, { attempts: 3 });
  await until(async () => {
    const { waiting = 0, active = 0, delayed = 0 } = await queue.getJobCounts('waiting', 'active', 'delayed');
    return waiting + active === 0 && delayed === laterOnes;
  }, patience);
  expect((await queue.getDelayed()).every(({ data }) => isOfLaterVersion(data))).toBe(true);
  await queue.close();
  connection.disconnect();
  await expectWell();
});

/** The service still runs, has logged no bug, and delivers. */
async function expectWell(): Promise<void> {
  expect(service.logs.filter(({ event }) => event === 'callback.failed' || event === 'service.failed')).toEqual([]);
  const reference = newReference();
  const answer = await fetch(`${service.url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': testKey },
    body: callbackBody({ reference }),
  });
  expect(answer.status).toBe(200);
  await until(() => merchant.hasGot(reference), patience);
}
