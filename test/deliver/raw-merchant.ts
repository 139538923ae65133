// A merchant that sends exactly the bytes of a test, over HTTP/1.1 on a plain socket, for answers that no HTTP server would
// send. Each step is a separate write, sent only after the client could read the previous one.
import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface RawMerchant extends AsyncDisposable {
  readonly url: string;
  /** The number of requests and of connections. */
  readonly requests: () => number;
  readonly connections: () => number;
}

/** Bytes to send, or `RESET`, `CLOSE` or `SILENCE`, which end the answer. */
export type Step = string;

/** Answers the n-th request (from 1) with the steps that `answer` gives. */
export async function startRawMerchant(answer: (request: number) => readonly Step[]): Promise<RawMerchant> {
  let requests = 0;
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? Number.NaN);
      const headEnd = received.indexOf('\r\n\r\n');
      if (headEnd < 0 || received.length < headEnd + 4 + length) return;
      received = received.slice(headEnd + 4 + length);
      requests += 1;
      void play(socket, answer(requests));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/payments`,
    requests: () => requests,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function play(socket: Socket, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (socket.destroyed) return;
    if (step === 'SILENCE') return;
    if (step === 'RESET') return void socket.resetAndDestroy();
    if (step === 'CLOSE') return void socket.end();
    await new Promise<void>((resolve) => socket.write(step, () => resolve()));
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  }
}
