// Compressed bodies: decoded and accepted like plain ones, and limited in size.
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { rawHttp, requestText } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';

const { server, redis } = await withRedis();
let service: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  service = await startService({ roles: ['receive'], env: { PAYALO_API_KEYS: testKey, REDIS_URL: server.url } });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const queue = '{payalo}:payalo-callbacks';

async function post(body: Buffer, encoding?: string) {
  const headers = { 'x-api-key': testKey, ...(encoding !== undefined && { 'content-encoding': encoding }) };
  const url = `${service.url}/webhooks/payalo`;
  const answer = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) });
  return { status: answer.status, body: await answer.text() };
}

/** The body text in the newest job. */
async function newestBody(): Promise<string> {
  const [jobId] = await redis.lrange(`${queue}:wait`, 0, 0);
  return String(JSON.parse((await redis.hget(`${queue}:${jobId}`, 'data')) ?? '{}').body);
}

const missingEnd = (bytes: Buffer) => bytes.subarray(0, -8);

test.for<[string, (body: Buffer) => Buffer, string | undefined]>([
  ['gzip', gzipSync, 'gzip'],
  ['gzip, named in capitals', gzipSync, 'GZIP'],
  ['gzip by its old name', gzipSync, 'x-gzip'],
  ['gzip that no header names', gzipSync, undefined],
  ['gzip whose checksum is missing', (body) => missingEnd(gzipSync(body)), 'gzip'],
  ['deflate', deflateSync, 'deflate'],
  ['deflate without zlib’s frame', deflateRawSync, 'deflate'],
  ['brotli', brotliCompressSync, 'br'],
  ['zstd', zstdCompressSync, 'zstd'],
  ['two encodings', (body) => gzipSync(deflateSync(body)), 'deflate, gzip'],
  ['identity and gzip', gzipSync, 'identity, gzip'],
  ['gzip, although a header says brotli', gzipSync, 'br'],
  ['plain, although a header says gzip', (body) => body, 'gzip'],
  ['plain, although a header says brotli', (body) => body, 'br'],
  ['plain, with an unknown encoding', (body) => body, 'aws-chunked'],
  ['plain, with an empty header', (body) => body, ''],
])('accepts a callback whose body is %s, and queues its plain text', async ([, encode, encoding]) => {
  const reference = newReference();
  const text = `${callbackBody({ reference })}\n`;
  expect(await post(encode(Buffer.from(text)), encoding)).toEqual({ status: 200, body: '{"status":"ok"}' });
  expect(await newestBody()).toBe(text);
  expect(await post(Buffer.from(text))).toEqual({ status: 200, body: '{"status":"ok","duplicate":true}' });
});

test('accepts a callback that a Transfer-Encoding has compressed', async () => {
  const packed = gzipSync(callbackBody());
  const lines = ['Host: x', `X-API-KEY: ${testKey}`, 'Transfer-Encoding: gzip, chunked'];
  const head = Buffer.from(`${requestText('POST /webhooks/payalo HTTP/1.1', lines)}${packed.length.toString(16)}\r\n`);
  const answer = await rawHttp(service.url, Buffer.concat([head, packed, Buffer.from('\r\n0\r\n\r\n')]));
  expect(answer).toMatchObject({ status: 200, body: '{"status":"ok"}' });
});

test.for<[string, Buffer, string | undefined]>([
  ['gzip', gzipSync(Buffer.alloc(50_000_000)), 'gzip'],
  ['gzip that no header names', gzipSync(Buffer.alloc(50_000_000)), undefined],
  ['brotli', brotliCompressSync(Buffer.alloc(50_000_000)), 'br'],
  ['zstd', zstdCompressSync(Buffer.alloc(50_000_000)), 'zstd'],
  ['gzip of gzip', gzipSync(gzipSync(Buffer.alloc(50_000_000))), 'gzip'],
])('answers 413 where the decoded body of %s is over BODY_LIMIT', async ([, body, encoding]) => {
  expect((await post(body, encoding)).status).toBe(413);
});

test('quarantines a body that does not decode unchanged, and one refused for its content as text', async () => {
  const broken = gzipSync('{"gatewayReference": "r"}').fill(0xff, 12, 20);
  const unnamed = Buffer.from('{"status": "success"}');
  expect((await post(broken, 'gzip')).status).toBe(400);
  expect((await post(gzipSync(unnamed), 'gzip')).status).toBe(422);
  const ids = await until(async () => {
    const found = await redis.zrange(`${queue}/q`, '0', '-1');
    return found.length === 2 && found;
  });
  const bodies = await Promise.all(ids.map((id) => redis.hgetBuffer(`${queue}/q:${id}`, 'body')));
  expect(bodies.map((body) => body?.toString('base64')).toSorted()).toEqual(
    [broken, unnamed].map((body) => body.toString('base64')).toSorted(),
  );
});
