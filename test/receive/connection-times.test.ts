// How long a connection is kept, and when a request counts as too slow. These tests wait in real time.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { openRaw, requestText, type RawConnection } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';

const { server: redis } = await withRedis();
let service: Awaited<ReturnType<typeof startService>>;
let brief: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  const env = { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url };
  [service, brief] = await Promise.all([
    startService({ roles: ['receive'], env }),
    startService({ roles: ['receive'], env: { ...env, KEEP_ALIVE_TIMEOUT: '15s' } }),
  ]);
});

afterAll(async () => {
  await Promise.all([service, brief].map((one) => one[Symbol.asyncDispose]()));
});

/** What headers, and then a body, may take. */
const partMs = 10_000;
const openAheadMs = 13_000;

function callback(): { head: string; body: string } {
  const body = callbackBody();
  const lines = ['Host: x', `X-API-KEY: ${testKey}`, `Content-Length: ${body.length}`];
  return { head: requestText('POST /webhooks/payalo HTTP/1.1', lines), body };
}

async function expectTaken(connection: RawConnection): Promise<void> {
  const { head, body } = callback();
  connection.send(head + body);
  expect(await connection.answer()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
}

async function drip(connection: RawConnection, bytes: string, everyMs: number): Promise<void> {
  for (const byte of bytes) {
    connection.send(byte);
    await delay(everyMs);
  }
}

describe.concurrent('a connection', { timeout: 60_000 }, () => {
  test('that was opened in advance accepts callbacks after more than ten seconds, one after the other', async () => {
    const pool = await Promise.all(Array.from({ length: 5 }, async () => openRaw(service.url)));
    await delay(openAheadMs);
    for (const connection of pool) {
      await expectTaken(connection);
      await expectTaken(connection);
      connection.destroy();
    }
  });

  test('of the operator that was opened in advance, too', async () => {
    const connection = await openRaw(service.opsUrl);
    await delay(openAheadMs);
    connection.send(requestText('GET /livez HTTP/1.1', ['Host: 127.0.0.1']));
    expect(await connection.answer()).toMatchObject({ status: 200 });
    connection.destroy();
  });

  test('that was opened in advance has ten seconds for a request from its first byte on', async () => {
    const connection = await openRaw(service.url);
    await delay(openAheadMs);
    const { head } = callback();
    connection.send(head.slice(0, 40));
    await expectTooSlow(connection);
  });

  test('that was kept has ten seconds for its next request from that one’s first byte on', async () => {
    const connection = await openRaw(service.url);
    await expectTaken(connection);
    await delay(8_000);
    const { head, body } = callback();
    connection.send(head.slice(0, 40));
    await delay(5_000);
    connection.send(head.slice(40) + body);
    expect(await connection.answer()).toMatchObject({ status: 200 });
    await delay(6_000);
    connection.send(head.slice(0, 40));
    await expectTooSlow(connection);
  });

  test('has ten seconds for the body, counted from the end of the headers', async () => {
    const [inTime, late] = await Promise.all([openRaw(service.url), openRaw(service.url)]);
    const { head, body } = callback();
    for (const connection of [inTime, late]) connection.send(head.slice(0, 40));
    await delay(6_000);
    for (const connection of [inTime, late]) connection.send(head.slice(40) + body.slice(0, 10));
    const tooSlow = expectTooSlow(late);
    await delay(6_000);
    inTime.send(body.slice(10));
    expect(await inTime.answer()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
    await tooSlow;
  });

  test('that drips its headers, or its body, is cut', async () => {
    const { head, body } = callback();
    const dripping = [
      { whole: '', dripped: head },
      { whole: head, dripped: body },
      { whole: '', dripped: '\r\n'.repeat(30) },
    ].map(async ({ whole, dripped }) => {
      const connection = await openRaw(service.url);
      connection.send(whole);
      void drip(connection, dripped.slice(0, 60), 500);
      await expectTooSlow(connection);
    });
    await Promise.all(dripping);
  });

  test.for(['url', 'opsUrl'] as const)(
    'that sends nothing is closed after KEEP_ALIVE_TIMEOUT, opened in advance or kept (%s)',
    async (listener, { expect: expectHere }) => {
      const [fresh, kept] = await Promise.all([openRaw(brief[listener]), openRaw(brief[listener])]);
      kept.send(requestText('GET /livez HTTP/1.1', ['Host: 127.0.0.1']));
      expectHere(await kept.answer()).toMatchObject({ status: 200 });
      for (const { ms, status, closedByServer } of await Promise.all([fresh.answer(25_000), kept.answer(25_000)])) {
        expectHere({ status, closedByServer }).toEqual({ status: null, closedByServer: true });
        expectHere(ms).toBeGreaterThan(14_000);
      }
    },
  );
});

async function expectTooSlow(connection: RawConnection): Promise<void> {
  const { ms, ...answer } = await connection.answer(25_000);
  expect(answer).toMatchObject({ status: 408, closedByServer: true });
  expect(ms).toBeGreaterThan(partMs - 1_000);
  expect(ms).toBeLessThan(partMs + 5_000);
  connection.destroy();
}
