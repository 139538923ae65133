// How connections end, and what is answered where Node reports a connection instead of a request.
//
// Promises: whoever is refused can read why, even while still sending: the connection's other half is discarded for a
// moment, since closing it at once would make the system throw away an answer not yet read. Answers already under way
// leave first. Nobody keeps a connection of ours open longer than that moment by not closing it.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { problem, problemContentType } from '../runtime/problem.ts';

/** Enough to read an answer of a few hundred bytes; short, for any stranger may cause it. */
const lingerMs = 2_000;

export type Connections = ReturnType<typeof createConnections>;

/** @param onRejected called once for each connection that was answered here */
export function createConnections(onRejected: () => void) {
  /** Requests that were read to the end and have no answer yet. */
  const answering = new WeakMap<Socket, Set<IncomingMessage>>();
  const broken = new WeakMap<Socket, ConnectionError>();

  function reject(error: ConnectionError, socket: Socket): void {
    if (!socket.writable) return void socket.destroy();
    answer(error, socket);
    onRejected();
  }

  return {
    began(request: IncomingMessage): void {
      const requests = answering.get(request.socket) ?? new Set();
      answering.set(request.socket, requests.add(request));
    },

    ended(request: IncomingMessage): void {
      const requests = answering.get(request.socket);
      const error = broken.get(request.socket);
      if (requests?.delete(request) === true && requests.size === 0 && error !== undefined) {
        broken.delete(request.socket);
        reject(error, request.socket);
      }
    },

    /** Too slow, headers too large, no HTTP: Node gives the connection up and leaves it to us. */
    failed(error: ConnectionError, socket: Socket): void {
      if (error.code === 'ECONNRESET') socket.destroy();
      else if ((answering.get(socket)?.size ?? 0) > 0) broken.set(socket, error);
      else reject(error, socket);
    },
  };
}

export type ConnectionError = Error & { code?: string };

/** Makes Node end this connection gently after the answer that is to close it, whatever of the request is not read. */
export function lingerAfterAnswer(socket: Socket): void {
  socket.destroySoon = () => endGently(socket);
}

function endGently(socket: Socket): void {
  socket.end();
  socket.removeAllListeners('data'); // Node's HTTP parser: what still comes is no request
  socket.on('data', () => undefined);
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

const tooSlow = problem(408, 'too-slow', 'The request did not arrive in time.');
const notHttp = problem(400, 'bad-request', 'The request is not valid HTTP.');

function answer(error: ConnectionError, socket: Socket): void {
  const document = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? tooSlow : notHttp;
  const body = JSON.stringify(document);
  socket.write(
    `HTTP/1.1 ${document.status} ${document.title}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  endGently(socket);
}
