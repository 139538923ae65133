import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { startTcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

test('passes bytes and half-closes in both directions', async () => {
  await using world = await startEcho();
  const { socket, text } = world.open();
  socket.end('hello');
  await until(() => text() === 'hello' && socket.readableEnded);
});

test('delays each direction, and keeps the order', async () => {
  await using world = await startEcho();
  world.proxy.set({ kind: 'slow', oneWayMs: 60 });
  const { socket, text } = world.open();
  const startedAtMs = performance.now();
  socket.write('a');
  socket.write('b');
  await until(() => text() === 'ab');
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(115);
});

test('holds back bytes of open connections while it stalls, one direction or both, and passes them afterwards', async () => {
  await using world = await startEcho();
  const { socket, text } = world.open();
  socket.write('a');
  await until(() => text() === 'a');
  world.proxy.set({ kind: 'stall', direction: 'toClient' });
  socket.write('b');
  await until(() => world.echoed() === 'ab');
  expect(text()).toBe('a');
  world.proxy.set({ kind: 'stall' });
  socket.write('c');
  const other = world.open();
  await once(other.socket, 'connect');
  expect(world.echoed()).toBe('ab');
  world.proxy.set({ kind: 'pass' });
  await until(() => text() === 'abc');
});

test('accepts and closes new connections, and closes open ones', async () => {
  await using world = await startEcho();
  const { socket } = world.open();
  await until(() => world.proxy.connections() === 1);
  world.proxy.set({ kind: 'close' });
  await once(socket, 'close');
  const late = world.open();
  await once(late.socket, 'close');
  expect(world.proxy.connections()).toBe(0);
});

async function startEcho() {
  let echoed = '';
  const open: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.push(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      echoed += String(data);
      socket.write(data);
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const proxy = await startTcpProxy({ target: typeof address === 'object' && address !== null ? address.port : 0 });
  return {
    proxy,
    echoed: () => echoed,
    open() {
      let text = '';
      const socket = connect({ port: proxy.port, host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.on('data', (data) => (text += String(data)));
      return { socket, text: () => text };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await proxy.stop();
      server.close();
    },
  };
}
