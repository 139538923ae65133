// Every row of the contract's table "Answers of the public listener", against the real process, with hostile variants.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { openRaw, rawHttp, requestText } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';

const otherKey = 'other-brand-key-0123456789';
const bodyLimit = 4_096;

const { server: redisServer, redis } = await withRedis();
let service: Awaited<ReturnType<typeof startService>>;
let second: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  const env = {
    PAYALO_API_KEYS: `${testKey},acme=${otherKey}`,
    REDIS_URL: redisServer.url,
    BODY_LIMIT: String(bodyLimit),
    AUTH_FAILURES_PER_MINUTE: '1000',
  };
  [service, second] = await Promise.all([
    startService({ roles: ['receive'], env }),
    startService({ roles: ['receive'], env }),
  ]);
});

afterAll(async () => {
  await Promise.all([service[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
});

const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().min(10),
  requestId: z.string(),
});

interface Sent {
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  readonly to?: string;
  readonly method?: string;
}

async function send({
  body = callbackBody(),
  key = testKey,
  headers = {},
  to = service.url,
  method = 'POST',
}: Sent = {}) {
  const response = await fetch(to.includes('/webhooks') ? to : `${to}/webhooks/payalo`, {
    method,
    headers: { 'content-type': 'application/json', ...(key !== null && { 'x-api-key': key }), ...headers },
    ...(method !== 'GET' && method !== 'HEAD' && { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

function expectProblem(answer: { status: number; headers: Headers; text: string }, status: number): void {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(problemSchema.parse(JSON.parse(answer.text))).toMatchObject({ status });
  expect(answer.text).not.toMatch(/key-0123456789|node_modules|at .*\.ts/);
}

const jobs = (queue = '{payalo}:payalo-callbacks') => redis.llen(`${queue}:wait`);

describe('a genuine key', () => {
  test('gets 200 {"status":"ok"} for a terminal callback, which is then in the queue byte for byte', async () => {
    const body = callbackBody();
    const answer = await send({ body });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.text).toBe('{"status":"ok"}');
    const [jobId] = await redis.lrange('{payalo}:payalo-callbacks:wait', 0, 0);
    const data = JSON.parse((await redis.hget(`{payalo}:payalo-callbacks:${jobId}`, 'data')) ?? '');
    expect(Buffer.from(data.body).equals(Buffer.from(body))).toBe(true);
    expect(data).toMatchObject({ version: 1, brand: 'default', source: 'callback', status: 'success', type: 'payin' });
    expect(data.requestId).toBe(answer.headers.get('x-request-id'));
  });

  test('makes one job of 200 identical callbacks at once, over two receivers', async () => {
    const body = callbackBody();
    const before = await jobs();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => send({ body, to: index % 2 === 0 ? service.url : second.url })),
    );
    expect(answers.filter(({ text }) => text === '{"status":"ok"}')).toHaveLength(1);
    expect(answers.filter(({ text }) => text === '{"status":"ok","duplicate":true}')).toHaveLength(199);
    expect((await jobs()) - before).toBe(1);
  });

  test.for([{ status: 'failed' }, { amount: '99.99' }])(
    'gets duplicate: true for a contradiction (%o), which is counted as a conflict',
    async (change) => {
      const reference = newReference();
      await send({ body: callbackBody({ reference }) });
      const before = await jobs();
      const answer = await send({ body: callbackBody({ reference, ...change }) });
      expect(answer.text).toBe('{"status":"ok","duplicate":true}');
      expect(await jobs()).toBe(before);
      const isOfAnswer = (entry: object) => Reflect.get(entry, 'requestId') === answer.headers.get('x-request-id');
      const line = await until(() => service.logs.find(isOfAnswer), { describe: 'the log line' });
      expect(line).toMatchObject({ event: 'callback.conflict', gatewayReference: reference });
    },
  );

  test('gets ignored for pending, which claims nothing', async () => {
    const reference = newReference();
    const pending = await send({ body: callbackBody({ reference, status: 'pending' }) });
    expect(pending).toMatchObject({ status: 200, text: '{"status":"ok","ignored":"pending"}' });
    expect((await send({ body: callbackBody({ reference }) })).text).toBe('{"status":"ok"}');
  });

  test('delivers every other status once, before and after the terminal one', async () => {
    const reference = newReference();
    const texts = [];
    for (const status of ['reversed', 'success', 'refunded', 'reversed']) {
      texts.push((await send({ body: callbackBody({ reference, status }) })).text);
    }
    const ok = '{"status":"ok"}';
    expect(texts).toEqual([ok, ok, ok, '{"status":"ok","duplicate":true}']);
  });

  test.for([
    ['no Content-Type', {}],
    ['a malformed Content-Type', { 'content-type': '???;;=' }],
    ['text/plain', { 'content-type': 'text/plain' }],
    ['a charset', { 'content-type': 'application/json; charset=iso-8859-1' }],
    ['multipart', { 'content-type': 'multipart/form-data' }],
  ] as const)('is enough with %s', async ([, headers]) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const body = callbackBody();
    const answer = await rawHttp(
      service.url,
      requestText(
        'POST /webhooks/payalo HTTP/1.1',
        ['Host: x', `X-API-KEY: ${testKey}`, ...lines, `Content-Length: ${body.length}`],
        body,
      ),
    );
    expect(answer).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  });

  test.for([
    [
      'unknown fields, nulls and a byte order mark',
      (r: string) => `\uFEFF{"gatewayReference":"${r}","status":"success","x":null}`,
    ],
    ['unknown enum values', (r: string) => `{"gatewayReference":"${r}","status":"success","type":"loan","flow":"nfc"}`],
    ['__proto__', (r: string) => `{"gatewayReference":"${r}","__proto__":{"status":"pending"},"status":"success"}`],
    ['deep nesting', (r: string) => `{"gatewayReference":"${r}","d":${'['.repeat(1_500)}${']'.repeat(1_500)}}`],
    ['duplicate fields', (r: string) => `{"gatewayReference":"other","gatewayReference":"${r}","status":"success"}`],
  ] as const)('delivers %s', async ([, body]) => {
    expect(await send({ body: body(newReference()) })).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  });

  test.for(['🙂'.repeat(255), 'ж'.repeat(255), 'a\u0000b', 'a\r\nb: c', 'a\r\nb: d', '\ud83d', ':{}/|,;*', '../x'])(
    'distinguishes the reference %j from every other',
    async (reference) => {
      expect((await send({ body: callbackBody({ reference }) })).text).toBe('{"status":"ok"}');
      expect((await send({ body: callbackBody({ reference }) })).text).toBe('{"status":"ok","duplicate":true}');
    },
  );

  test('decides the brand, so that the same reference of two brands is two callbacks in two queues', async () => {
    const body = callbackBody();
    expect((await send({ body })).text).toBe('{"status":"ok"}');
    expect((await send({ body, key: otherKey })).text).toBe('{"status":"ok"}');
    expect(await jobs('{payalo.acme}:payalo-callbacks.acme')).toBe(1);
  });

  test('delivers a chunked body, and accepts the path with a slash and a query', async () => {
    const body = callbackBody();
    const chunks = [body.slice(0, 7), body.slice(7)]
      .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
      .join('');
    const lines = ['Host: x', `X-API-KEY: ${testKey}`, 'Transfer-Encoding: chunked'];
    const answer = await rawHttp(
      service.url,
      requestText('POST /webhooks/payalo/?a=b&c HTTP/1.1', lines, `${chunks}0\r\n\r\n`),
    );
    expect(answer).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  });
});

describe('what a genuine key sends wrong', () => {
  test.for([
    ['an empty body', ''],
    ['truncated JSON', '{"gatewayReference":"r"'],
    ['an array', '[]'],
    ['a string', '"x"'],
    ['null', 'null'],
    ['invalid UTF-8', new Uint8Array([...Buffer.from('{"gatewayReference":"'), 0xc3, 0x28, ...Buffer.from('"}')])],
    ['NUL bytes', '\u0000\u0000'],
  ] as const)('gets 400 for %s', async ([, body]) => {
    expectProblem(await send({ body }), 400);
  });

  test.for([
    ['missing', '{"status":"success"}'],
    ['empty', '{"gatewayReference":""}'],
    ['a number', '{"gatewayReference":12}'],
    ['null', '{"gatewayReference":null}'],
    ['256 characters long', JSON.stringify({ gatewayReference: 'x'.repeat(256) })],
  ] as const)('gets 422 for a reference that is %s', async ([, body]) => {
    expectProblem(await send({ body }), 422);
  });

  test.for([
    ['announced', [`Content-Length: ${bodyLimit + 1}`], ''],
    ['chunked', ['Transfer-Encoding: chunked'], `2000\r\n${'x'.repeat(0x2000)}\r\n0\r\n\r\n`],
  ] as const)('gets 413 for a body over BODY_LIMIT (%s), and the connection is closed', async ([, lines, rest]) => {
    const head = ['Host: x', `X-API-KEY: ${testKey}`, ...lines];
    const answer = await rawHttp(service.url, requestText('POST /webhooks/payalo HTTP/1.1', head, rest));
    expect(answer).toMatchObject({ status: 413, closedByServer: true });
    expect(problemSchema.parse(JSON.parse(answer.body)).status).toBe(413);
  });

  test('gets 408 for a withheld body, about 10 s after the headers, and the connection is closed', async () => {
    const lines = ['Host: x', `X-API-KEY: ${testKey}`, 'Content-Length: 100'];
    const answer = await rawHttp(service.url, requestText('POST /webhooks/payalo HTTP/1.1', lines, '{"gate'));
    expect(answer).toMatchObject({ status: 408, closedByServer: true });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.ms).toBeGreaterThan(8_000);
    expect(answer.ms).toBeLessThan(14_000);
  });
});

describe('no genuine key', () => {
  test.for([
    ['no key', []],
    ['a wrong key', ['X-API-KEY: wrong-key-0123456789abcdef']],
    ['an empty key', ['X-API-KEY:']],
    ['a genuine key and more', [`X-API-KEY: ${testKey}x`]],
    ['a genuine key and a wrong one', [`X-API-KEY: ${testKey}`, 'X-API-KEY: wrong-key-0123456789abcdef']],
    ['a wrong key and a genuine one', ['X-API-KEY: wrong-key-0123456789abcdef', `X-API-KEY: ${testKey}`]],
    ['two genuine keys that differ', [`X-API-KEY: ${testKey}`, `X-API-KEY: ${otherKey}`]],
  ] as const)('gets 401 for %s before the body is read, and the connection is closed', async ([, keys]) => {
    // The body never comes: an answer shows that nobody waited for it.
    const answer = await rawHttp(
      service.url,
      requestText('POST /webhooks/payalo HTTP/1.1', ['Host: x', 'Content-Length: 50', ...keys]),
    );
    expect(answer).toMatchObject({ status: 401, closedByServer: true });
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.body).not.toContain('0123456789');
    expect(answer.ms).toBeLessThan(5_000);
  });

  test('is limited per address with Retry-After, while genuine callbacks from that address are not', async () => {
    await using limited = await startService({
      roles: ['receive'],
      env: {
        PAYALO_API_KEYS: `${testKey},acme=${otherKey}`,
        REDIS_URL: redisServer.url,
        AUTH_FAILURES_PER_MINUTE: '3',
      },
    });
    const answers = [];
    for (let count = 0; count < 5; count += 1) answers.push(await send({ to: limited.url, key: null }));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 429, 429]);
    expectProblem(answers[4] ?? (await send()), 429);
    expect(Number(answers[4]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answers[4]?.headers.get('connection')).toBe('close');
    expect((await send({ to: limited.url })).status).toBe(200);
    // Without TRUST_PROXY a forged address changes nothing.
    expect((await send({ to: limited.url, key: null, headers: { 'x-forwarded-for': '1.2.3.4' } })).status).toBe(429);
  });

  test('is counted by the address that a trusted proxy names', async () => {
    await using behindProxy = await startService({
      roles: ['receive'],
      env: {
        PAYALO_API_KEYS: `${testKey},acme=${otherKey}`,
        REDIS_URL: redisServer.url,
        AUTH_FAILURES_PER_MINUTE: '1',
        TRUST_PROXY: '127.0.0.1',
      },
    });
    const from = (address: string) => send({ to: behindProxy.url, key: null, headers: { 'x-forwarded-for': address } });
    expect((await from('1.2.3.4')).status).toBe(401);
    expect((await from('1.2.3.4')).status).toBe(429);
    expect((await from('1.2.3.5')).status).toBe(401);
    expect((await from('9.9.9.9, 1.2.3.5')).status).toBe(429); // what a client put before the proxy's word is ignored
    expect((await from('203.0.113.8:40000')).status).toBe(401);
    expect((await from('203.0.113.8:40001')).status).toBe(429);
    expect((await from('[2001:db8::1]:443')).status).toBe(401);
    expect((await from('2001:db8::dead:beef')).status).toBe(429); // another address of the same client's network
    expect((await from('[2001:DB8::0:1]:444')).status).toBe(429);
    const named = await send({ to: behindProxy.url, headers: { 'x-request-id': 'given-1' } });
    expect(named.headers.get('x-request-id')).toBe('given-1');
  });
});

describe('everything else', () => {
  test.for(['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])(
    'gets 405 with Allow for %s on the path',
    async (method) => {
      const answer = await send({ method });
      expect(answer.status).toBe(405);
      expect(answer.headers.get('allow')).toBe('POST');
      if (method !== 'HEAD') expectProblem(answer, 405);
    },
  );

  test.for([
    '/',
    '/metrics',
    '/v1/callbacks',
    '/webhooks/payalo/x',
    '/webhooks/payalo/../../metrics',
    '//webhooks/payalo',
    '/WEBHOOKS/PAYALO',
    '/%2e%2e/metrics',
    '/webhooks%2Fpayalo',
    '/%ff%zz',
    '*',
    `/${'x'.repeat(5_000)}`,
  ])('gets 404 for the path %s', async (path) => {
    const answer = await rawHttp(
      service.url,
      requestText(`POST ${path} HTTP/1.1`, ['Host: x', `X-API-KEY: ${testKey}`, 'Content-Length: 0']),
    );
    expect(answer.status).toBe(404);
    expect(problemSchema.parse(JSON.parse(answer.body)).status).toBe(404);
  });

  test.for([
    ['what is no HTTP', 'hello\r\n\r\n'],
    ['a header block without end', `POST /webhooks/payalo HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`],
    [
      'both lengths',
      requestText(
        'POST /webhooks/payalo HTTP/1.1',
        ['Host: x', 'Content-Length: 3', 'Transfer-Encoding: chunked'],
        '0\r\n\r\n',
      ),
    ],
  ] as const)('gets a problem and a closed connection for %s', async ([, bytes]) => {
    const answer = await rawHttp(service.url, bytes);
    expect(answer).toMatchObject({ status: 400, closedByServer: true });
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  test('serves /livez and /readyz', async () => {
    for (const path of ['/livez', '/readyz']) expect((await fetch(service.url + path)).status).toBe(200);
  });

  test('accepts several callbacks over one connection', async () => {
    const connection = await openRaw(service.url);
    for (let count = 0; count < 3; count += 1) {
      const body = callbackBody();
      const lines = ['Host: x', `X-API-KEY: ${testKey}`, `Content-Length: ${body.length}`];
      connection.send(requestText('POST /webhooks/payalo HTTP/1.1', lines, body));
      expect(await connection.answer()).toMatchObject({ status: 200, closedByServer: false });
    }
    connection.destroy();
  });
});

test('logs one wide line per callback, and never a key, a body or a phone number', async () => {
  const reference = newReference();
  const body = callbackBody({ reference }).replace(
    '"providerData"',
    '"payer": { "msisdn": "+254700000042" }, "providerData"',
  );
  const { headers } = await send({ body });
  const linesOf = () => service.logs.filter((entry) => entry['requestId'] === headers.get('x-request-id'));
  await until(() => linesOf().length > 0, { describe: 'the log line' });
  expect(linesOf()).toEqual([
    expect.objectContaining({
      event: 'callback.accepted',
      brand: 'default',
      gatewayReference: reference,
      status: 'success',
      ms: expect.any(Number),
    }),
  ]);
  const everything = JSON.stringify(service.logs);
  for (const secret of [testKey, otherKey, '254700000042', 'M-Pesa Kenya']) expect(everything).not.toContain(secret);
});
