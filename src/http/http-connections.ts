// How a listener's connections start, idle and end, and the answer when Node reports a broken connection instead of a
// request.
//
// Promises: a connection that has sent nothing yet is kept as long as an idle one; a request has ten seconds for its
// headers, counted from its first byte, and ten more for its body. A client that half-closes after its request still gets
// the answer. A refused client can read why, even while it is still sending: its input is discarded for a moment, because
// an immediate close could destroy the unread answer. Answers in progress are sent first. No client can hold a connection
// open longer than that moment.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { problem, problemContentType } from './problem.ts';

/** For the headers, from the first byte; and for the body, from the end of the headers. */
const partTimeoutMs = 10_000;
/** How often Node looks for overdue requests; its default of 30 s would let them hang that long. */
const checkEveryMs = 500;
/** Long enough to read an answer of a few hundred bytes; short, since any stranger can cause it. */
const lingerMs = 2_000;

/** Options for Fastify. @param idleMs how long an idle connection is kept */
export function listenerTimes(idleMs: number) {
  return {
    keepAliveTimeout: idleMs,
    requestTimeout: partTimeoutMs,
    http: { headersTimeout: partTimeoutMs, connectionsCheckingInterval: checkEveryMs },
  };
}

interface ConnectionState {
  /** When the headers of the current request arrived; 0 while no body is awaited. */
  headersAtMs: number;
  /** Requests that were read completely and are not answered yet. */
  readonly answering: Set<IncomingMessage>;
  broken?: ConnectionError;
}

/** @param onRejected called once for each connection that is answered here */
export function createHttpConnections(onRejected: () => void = () => undefined) {
  const states = new WeakMap<Socket, ConnectionState>();

  function stateOf(socket: Socket): ConnectionState {
    const known = states.get(socket);
    if (known !== undefined) return known;
    const state = { headersAtMs: 0, answering: new Set<IncomingMessage>() };
    states.set(socket, state);
    return state;
  }

  function reject(error: ConnectionError, socket: Socket): void {
    if (!socket.writable) return void socket.destroy();
    answer(error, socket);
    onRejected();
  }

  function giveUp(error: ConnectionError, socket: Socket): void {
    const state = stateOf(socket);
    if (state.answering.size > 0) state.broken = error;
    else reject(error, socket);
  }

  /** Node counts from the first byte, or, before one arrives, from the start of the connection. */
  function timedOut(error: ConnectionError, socket: Socket): void {
    if (socket.bytesRead === 0) return; // the idle timer closes it
    const { headersAtMs } = stateOf(socket);
    const leftMs = headersAtMs === 0 ? 0 : headersAtMs + partTimeoutMs - performance.now();
    if (leftMs <= 0) return giveUp(error, socket);
    setTimeout(() => {
      if (stateOf(socket).headersAtMs === headersAtMs) giveUp(error, socket);
    }, leftMs).unref();
  }

  function bodyRead(request: IncomingMessage): void {
    const state = stateOf(request.socket);
    state.headersAtMs = 0;
    state.answering.add(request);
  }

  function answered(request: IncomingMessage): void {
    const state = stateOf(request.socket);
    const { broken } = state;
    if (!state.answering.delete(request) || state.answering.size > 0 || broken === undefined) return;
    delete state.broken;
    reject(broken, request.socket);
  }

  return {
    /** Call once, before listening. */
    tend(app: Pick<FastifyInstance, 'server' | 'addHook'>, idleMs: number): void {
      // Otherwise Node aborts a request whose sender half-closes. Undocumented in Node; a test guards it.
      Object.assign(app.server, { httpAllowHalfOpen: true });
      app.server.on('connection', (socket) => socket.setTimeout(idleMs));
      // Hooks with a callback: an async hook would cost every request a promise.
      app.addHook('preHandler', (request, _reply, done) => {
        bodyRead(request.raw);
        done();
      });
      app.addHook('onResponse', (request, _reply, done) => {
        answered(request.raw);
        done();
      });
    },

    /** Call when a request's headers are read and its body follows. */
    headersRead({ socket }: IncomingMessage): void {
      stateOf(socket).headersAtMs = performance.now();
      // Node clears only the idle timeout that it set itself.
      if (socket.timeout !== 0) socket.setTimeout(0);
    },

    /** Too slow, headers too large, not HTTP: Node leaves the connection to us. */
    failed(error: ConnectionError, socket: Socket): void {
      if (error.code === 'ECONNRESET') socket.destroy();
      else if (error.code === timeoutCode) timedOut(error, socket);
      else giveUp(error, socket);
    },
  };
}

export type ConnectionError = Error & { code?: string };

const timeoutCode = 'ERR_HTTP_REQUEST_TIMEOUT';

/** Makes Node close this connection gently after its last answer, even if part of the request is still unread. */
export function lingerAfterAnswer(socket: Socket): void {
  socket.destroySoon = () => endGently(socket);
}

function endGently(socket: Socket): void {
  socket.end();
  socket.removeAllListeners('data'); // Node's HTTP parser: what still arrives is not a request
  socket.on('data', () => undefined);
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

const tooSlow = problem(408, 'too-slow', 'The request did not arrive in time.');
const notHttp = problem(400, 'bad-request', 'The request is not valid HTTP.');

function answer(error: ConnectionError, socket: Socket): void {
  const document = error.code === timeoutCode ? tooSlow : notHttp;
  const body = JSON.stringify(document);
  socket.write(
    `HTTP/1.1 ${document.status} ${document.title}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  endGently(socket);
}
