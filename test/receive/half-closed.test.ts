// Senders that end their half of the connection with the request: each gets its answer. Redis is slow, so that
// the end arrives long before the answer.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { openRaw, requestText } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

const { server: redis } = await withRedis();
let proxy: Awaited<ReturnType<typeof startTcpProxy>>;
let service: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  proxy = await startTcpProxy({ target: redis.port });
  service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: `redis://127.0.0.1:${proxy.port}` },
  });
  proxy.set({ kind: 'slow', oneWayMs: 150 });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await proxy.stop();
});

const http11 = 'POST /webhooks/payalo HTTP/1.1';

function genuine(body = callbackBody(), lines: readonly string[] = ['Host: x'], first = http11): string {
  return requestText(first, [...lines, `X-API-KEY: ${testKey}`, `Content-Length: ${Buffer.byteLength(body)}`], body);
}

function chunked(body: string): string {
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  return requestText(http11, ['Host: x', `X-API-KEY: ${testKey}`, 'Transfer-Encoding: chunked'], chunks);
}

const requests = [
  ['a callback', genuine, 1],
  ['a callback with Connection: close', () => genuine(callbackBody(), ['Host: x', 'Connection: close']), 1],
  ['a callback over HTTP/1.0', () => genuine(callbackBody(), [], 'POST /webhooks/payalo HTTP/1.0'), 1],
  ['a chunked callback', () => chunked(callbackBody()), 1],
  ['three callbacks at once', () => genuine() + genuine() + chunked(callbackBody()), 3],
] as const;

describe.concurrent('a client that half-closes the connection', () => {
  for (const [what, bytesOf, count] of requests) {
    test.for([
      ['with the last byte', 0],
      ['a millisecond after it', 1],
      ['fifty milliseconds after it', 50],
    ] as const)(`gets 200 for ${what}, %s`, async ([, afterMs], { expect: expectHere }) => {
      const connection = await openRaw(service.url);
      connection.send(bytesOf());
      if (afterMs > 0) await delay(afterMs);
      connection.end();
      for (let number = 0; number < count; number += 1) {
        expectHere(await connection.answer()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
      }
      expectHere(await connection.answer()).toMatchObject({ status: null, closedByServer: true });
      connection.destroy();
    });
  }

  test('gets 200 on a connection that was kept before', async () => {
    const connection = await openRaw(service.url);
    connection.send(genuine());
    expect(await connection.answer()).toMatchObject({ status: 200, closedByServer: false });
    connection.send(genuine());
    connection.end();
    expect(await connection.answer()).toMatchObject({ status: 200 });
    connection.destroy();
  });

  test('gets 400 for a truncated request, after the 200 for the previous one', async () => {
    const connection = await openRaw(service.url);
    connection.send(genuine() + genuine().slice(0, -20));
    connection.end();
    expect(await connection.answer()).toMatchObject({ status: 200 });
    expect(await connection.answer()).toMatchObject({ status: 400, closedByServer: true });
    connection.destroy();
  });

  test('gets the answers of the operator listener, too', async () => {
    const connection = await openRaw(service.opsUrl);
    connection.send(requestText('GET /metrics HTTP/1.1', ['Host: 127.0.0.1']));
    connection.end();
    expect(await connection.answer()).toMatchObject({ status: 200 });
    connection.destroy();
  });
});
