// What HTTP senders do beside sending plain requests: each can read its answer, and none can hold a connection open.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { openRaw, rawHttp, requestText } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';

const { server: redis } = await withRedis();
let service: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  service = await startService({ roles: ['receive'], env: { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url } });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const firstLine = 'POST /webhooks/payalo HTTP/1.1';
const ok = '{"status":"ok"}';

function genuine(body: string, lines: readonly string[] = ['Host: x'], first = firstLine): string {
  return requestText(first, [...lines, `X-API-KEY: ${testKey}`, `Content-Length: ${Buffer.byteLength(body)}`], body);
}

describe('a genuine callback is accepted', () => {
  test.for([
    ['without Host', genuine(callbackBody(), [])],
    ['over HTTP/1.0', genuine(callbackBody(), [], 'POST /webhooks/payalo HTTP/1.0')],
    ['with an unknown expectation', genuine(callbackBody(), ['Host: x', 'Expect: the-unexpected'])],
    ['with the whole URL in the first line', genuine(callbackBody(), [], 'POST http://x/webhooks/payalo HTTP/1.1')],
    ['with an offer to upgrade', genuine(callbackBody(), ['Host: x', 'Connection: Upgrade', 'Upgrade: h2c'])],
  ] as const)('%s', async ([, bytes]) => {
    const answer = await rawHttp(service.url, bytes);
    expect(answer).toMatchObject({ status: 200, body: ok, headers: { 'content-type': 'application/json' } });
  });

  test('after 100 Continue if requested', async () => {
    const connection = await openRaw(service.url);
    const body = callbackBody();
    connection.send(genuine(body, ['Host: x', 'Expect: 100-continue']).slice(0, -body.length));
    expect(await connection.answer()).toMatchObject({ status: 100 });
    connection.send(body);
    expect(await connection.answer()).toMatchObject({ status: 200, body: ok });
    connection.destroy();
  });

  test('one after the other on one connection, and answered before later requests are refused', async () => {
    const connection = await openRaw(service.url);
    connection.send(`${genuine(callbackBody())}${genuine(callbackBody())}garbage\r\n\r\n`);
    expect(await connection.answer()).toMatchObject({ status: 200, body: ok });
    expect(await connection.answer()).toMatchObject({ status: 200, body: ok });
    expect(await connection.answer()).toMatchObject({ status: 400, closedByServer: true });
    connection.destroy();
  });
});

describe('a refused client', () => {
  test.for([
    [401, 'POST', 'wrong-key-0123456789abcdef'],
    [413, 'POST', testKey],
    [405, 'PUT', testKey],
  ] as const)('reads the %i while a large body is still on its way', async ([status, method, key]) => {
    const body = Buffer.alloc(20_000_000, 'x');
    for (let count = 0; count < 5; count += 1) {
      const head = ['Host: x', `X-API-KEY: ${key}`, `Content-Length: ${body.length}`];
      const connection = await openRaw(service.url);
      connection.send(requestText(`${method} /webhooks/payalo HTTP/1.1`, head));
      connection.send(body);
      expect(await connection.answer()).toMatchObject({ status, closedByServer: true });
      connection.destroy();
    }
  });

  test.for([
    ['is not HTTP', 'garbage\r\n\r\n'],
    ['has no key', requestText(firstLine, ['Host: x', 'Content-Length: 9'])],
    ['is withheld', genuine('').replace('Content-Length: 0', 'Content-Length: 1000')],
  ] as const)('cannot keep the connection open if its request %s', { timeout: 30_000 }, async ([, bytes]) => {
    const { hostname, port } = new URL(service.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(bytes);
    // Once the server let go, its system answers whatever comes with a reset.
    await until(() => socket.destroyed || (socket.write('x'), false), {
      timeoutMs: 18_000,
      everyMs: 500,
      describe: 'the server to let go',
    });
  });
});
