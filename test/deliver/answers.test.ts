// What counts as the merchant's answer: interim answers do not, and a final status counts even if its body fails.
import type { ServerHttp2Stream } from 'node:http2';
import { expect, test } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { startRawMerchant, type Step } from './raw-merchant.ts';
import { attemptAt } from './attempt-at.ts';
import { startHttp2Merchant } from './http2-merchant.ts';
import { createRig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const broken = 'HTTP/1.1 500 Oh no\r\ncontent-length: 6\r\nretry-after: 0\r\n\r\nbroken';
const go = 'HTTP/1.1 100 Continue\r\n\r\n';
const processing = 'HTTP/1.1 102 Processing\r\n\r\n';
const hints = 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n';
const bytesOf = (text: string): string[] => text.split('');

test.for<[string, readonly Step[]]>([
  ['100 before its answer', [go, ok]],
  ['100 in one piece with its answer', [go + ok]],
  ['100 without a reason or a trailing space', ['HTTP/1.1 100\r\n\r\n' + ok]],
  ['100 with header fields', ['HTTP/1.1 100 Continue\r\nx-a: b\r\nx-c: d\r\n\r\n', ok]],
  ['100 of HTTP/1.0', ['HTTP/1.0 100 Continue\r\n\r\n', ok]],
  ['102 and 103', [processing, hints, ok]],
  ['many of each, in any order', [go, hints, go + go, processing, go, hints + go, ok]],
  ['all of it byte by byte', bytesOf(go + hints + go + ok)],
  ['a 100 that is split inside its last line', [go.slice(0, -1), '\n' + ok]],
  ['an undefined interim status', ['HTTP/1.1 199 Whatever\r\n\r\n', ok]],
])('treats a merchant that sends %s as one that answered 200', async ([, steps]) => {
  await using merchant = await startRawMerchant(() => steps);
  await using rig = await createRig(redis, { env: { FORWARD_URL: merchant.url } });
  await rig.start();
  const jobs = [await rig.add(), await rig.add(), await rig.add()];
  for (const job of jobs) expect((await rig.settled(job)).returnvalue).toMatchObject({ status: 200, attempt: 1 });
  expect(merchant.requests()).toBe(3);
});

test('an unsolicited 100 costs no connection: twenty callbacks in turn use one or two', async () => {
  await using merchant = await startRawMerchant(() => [go, hints, ok]);
  const http = attemptAt(merchant.url);
  for (let count = 0; count < 20; count += 1) expect(await http.attempt()).toMatchObject({ status: 200 });
  await http.close();
  // The next callback may come in the turn of the event loop in which undici has not yet freed the first.
  expect(merchant.connections()).toBeLessThanOrEqual(2);
});

test('a 100 before a 500 leaves the 500 a failed attempt, with its answer and its Retry-After', async () => {
  await using merchant = await startRawMerchant((request) => [go, hints, request === 1 ? broken : ok]);
  await using rig = await createRig(redis, { env: { FORWARD_URL: merchant.url } });
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(await rig.attemptsOf(job)).toMatchObject([{ attempt: 1, status: 500, answer: 'broken' }]);
  expect(job.returnvalue).toMatchObject({ status: 200, attempt: 2 });
});

test('an answer that quotes an interim answer in its body keeps its body', async () => {
  const body = `${go}HTTP/1.1 200 OK\r\n\r\n`;
  await using merchant = await startRawMerchant(() => [
    `HTTP/1.1 500 Oh no\r\ncontent-length: ${body.length}\r\n\r\n`,
    body.slice(0, go.length),
    body.slice(go.length),
  ]);
  const http = attemptAt(merchant.url);
  expect(await http.attempt()).toMatchObject({ status: 500, answer: body });
  await http.close();
});

test.for<[string, readonly Step[]]>([
  ['upgrades', ['HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n', 'SILENCE']],
  ['says 101 without naming a protocol', ['HTTP/1.1 101 Switching Protocols\r\n\r\n', 'SILENCE']],
  ['upgrades after a 100', [go, 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', 'SILENCE']],
  ['sends 100 and nothing more', [go, 'SILENCE']],
  ['sends 100 and closes', [go, 'CLOSE']],
  ['sends half a 100 and closes', ['HTTP/1.1 100 Cont', 'CLOSE']],
])('a merchant that %s has not taken the callback', async ([, steps]) => {
  await using merchant = await startRawMerchant((request) => (request === 1 ? steps : [ok]));
  await using rig = await createRig(redis, { env: { FORWARD_URL: merchant.url, FORWARD_TIMEOUT: '1s' } });
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(await rig.attemptsOf(job)).toMatchObject([{ attempt: 1 }]);
  expect(job.returnvalue).toMatchObject({ status: 200, attempt: 2 });
});

test.for<[string, (stream: ServerHttp2Stream) => void]>([
  ['100', (stream) => stream.additionalHeaders({ ':status': 100 })],
  ['102 and 103', (stream) => [102, 103].forEach((status) => stream.additionalHeaders({ ':status': status }))],
  ['100, 103, 100', (stream) => [100, 103, 100].forEach((status) => stream.additionalHeaders({ ':status': status }))],
])('over HTTP/2, %s before the answer changes nothing, for a 200 and for a 500', async ([, interim]) => {
  let status = 200;
  await using merchant = await startHttp2Merchant((stream) => {
    interim(stream);
    stream.respond({ ':status': status });
    stream.end('said');
  });
  const http = attemptAt(merchant.url);
  expect(await http.attempt()).toMatchObject({ kind: 'answered', status: 200 });
  status = 500;
  expect(await http.attempt()).toMatchObject({ kind: 'answered', status: 500, answer: 'said' });
  await http.close();
});

test.for<[string, readonly Step[]]>([
  ['declares more than it sends', ['HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok', 'CLOSE']],
  ['declares less than it sends', ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and more']],
  ['resets the connection after its headers', ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n', 'RESET']],
  ['never sends the body that it declared', ['HTTP/1.1 204 No\r\nx: y\r\n\r\n', 'SILENCE']],
  ['never ends its body', ['HTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n', 'SILENCE']],
  ['sends invalid chunks', ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnothing like a chunk\r\n']],
  [
    'declares gzip and sends garbage',
    ['HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\0\x01\x02\x03'],
  ],
  ['sends no length and closes', ['HTTP/1.1 202 Accepted\r\n\r\n', 'CLOSE']],
])('a merchant that answers 2xx and then %s has taken the callback: it is not delivered twice', async ([, steps]) => {
  await using merchant = await startRawMerchant(() => steps);
  await using rig = await createRig(redis, { env: { FORWARD_URL: merchant.url, FORWARD_TIMEOUT: '2s' } });
  await rig.start();
  const job = await rig.settled(await rig.add());
  expect(job.returnvalue).toMatchObject({ attempt: 1 });
  expect(merchant.requests()).toBe(1);
});

test('an endless body holds its slot only for a moment, not for FORWARD_TIMEOUT', async () => {
  await using merchant = await startRawMerchant(() => ['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok', 'SILENCE']);
  const env = { FORWARD_URL: merchant.url, FORWARD_TIMEOUT: '60s', FORWARD_CONCURRENCY: '1' };
  await using rig = await createRig(redis, { env });
  await rig.start();
  for (const job of [await rig.add(), await rig.add()]) {
    expect((await rig.settled(job)).returnvalue).toMatchObject({ status: 200, attempt: 1 });
  }
});

test.for<[string, readonly Step[]]>([
  ['cut-off headers', ['HTTP/1.1 200 OK\r\ncontent-le', 'CLOSE']],
  ['headers that never end', ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n', 'SILENCE']],
  ['a refusal whose body is cut off', ['HTTP/1.1 422 No\r\ncontent-length: 100\r\n\r\nno', 'RESET']],
])('%s are a failed attempt', async ([, steps]) => {
  await using merchant = await startRawMerchant((request) => (request === 1 ? steps : [ok]));
  await using rig = await createRig(redis, { env: { FORWARD_URL: merchant.url, FORWARD_TIMEOUT: '1s' } });
  await rig.start();
  expect((await rig.settled(await rig.add())).returnvalue).toMatchObject({ status: 200, attempt: 2 });
});

test('over HTTP/2, a stream that is reset after its 200 counts as that 200', async () => {
  await using merchant = await startHttp2Merchant((stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    stream.write('o');
    setImmediate(() => stream.close(2));
  });
  const http = attemptAt(merchant.url);
  expect(await http.attempt()).toMatchObject({ kind: 'answered', status: 200 });
  await http.close();
});
