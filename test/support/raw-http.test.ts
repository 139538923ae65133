import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openRaw, rawHttp, requestText } from './raw-http.ts';

let server: Server | undefined;

afterEach(() => {
  server?.close();
});

async function serve(onConnection: (socket: Socket) => void): Promise<string> {
  server = createServer(onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

test('sends exactly the bytes it is given and reads a counted body', async () => {
  const sent = requestText('POST /x HTTP/1.1', ['host: here', 'X-API-KEY:  two ', 'X-API-KEY: keys'], '\u0000\r\n{');
  let seen = '';
  const url = await serve((socket) => {
    socket.on('data', (data) => {
      seen += String(data);
      if (seen.length === sent.length) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok');
    });
  });
  const answer = await rawHttp(url, sent);
  expect(seen).toBe(sent);
  expect(answer).toMatchObject({ status: 200, body: 'ok', headers: { 'x-a': 'b' }, closedByServer: false });
});

test('reads a chunked body, however it is split', async () => {
  const url = await serve((socket) => {
    const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
    for (const character of text) socket.write(character);
  });
  expect(await rawHttp(url, 'x')).toMatchObject({ status: 200, body: 'abcde' });
});

test('reads the answers of one connection one after the other', async () => {
  const url = await serve((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nb');
  });
  const connection = await openRaw(url);
  expect(await connection.answer()).toMatchObject({ status: 200, body: 'a' });
  expect(await connection.answer()).toMatchObject({ status: 404, body: 'b' });
  connection.destroy();
});

test('reports whether the server closed the connection after an answer that announced it', async () => {
  const closing = await serve((socket) => {
    socket.end('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!');
  });
  expect(await rawHttp(closing, 'x')).toMatchObject({ status: 413, body: '!', closedByServer: true });
  server?.close();
  const lying = await serve((socket) => {
    socket.write('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!');
  });
  expect(await rawHttp(lying, 'x', { timeoutMs: 100 })).toMatchObject({ status: 413, closedByServer: false });
});

test('distinguishes a connection closed without an answer from an answer', async () => {
  const url = await serve((socket) => {
    socket.destroy();
  });
  expect(await rawHttp(url, 'x')).toMatchObject({ status: null, closedByServer: true });
});
