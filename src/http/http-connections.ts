// How connections of a listener begin, idle and end, and what is answered where Node reports a connection instead of a
// request.
//
// Promises: a connection that has sent nothing yet is kept as long as one that idles between requests; a request has ten
// seconds for its headers, counted from its first byte, and ten more for its body. Who ends its own half after a request
// still gets the answer. Whoever is refused can read why, even while still sending: the connection's other half is
// discarded for a moment, since closing it at once would make the system throw away an answer not yet read. Answers
// already under way leave first. Nobody keeps a connection of ours open longer than that moment by not closing it.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { problem, problemContentType } from './problem.ts';

/** For the headers from the first byte, and for the body from the end of the headers. */
const partTimeoutMs = 10_000;
/** How often Node looks for requests past their time; its default of 30 s would let them hang that long. */
const checkEveryMs = 500;
/** Enough to read an answer of a few hundred bytes; short, for any stranger may cause it. */
const lingerMs = 2_000;

/** For Fastify. @param idleMs for how long a connection is kept that sends nothing */
export function listenerTimes(idleMs: number) {
  return {
    keepAliveTimeout: idleMs,
    requestTimeout: partTimeoutMs,
    http: { headersTimeout: partTimeoutMs, connectionsCheckingInterval: checkEveryMs },
  };
}

export type HttpConnections = ReturnType<typeof createHttpConnections>;

interface ConnectionState {
  /** When the headers of the request were there whose body is awaited; 0 while none is. */
  headersAtMs: number;
  /** Requests that were read to the end and have no answer yet. */
  readonly answering: Set<IncomingMessage>;
  broken?: ConnectionError;
}

/** @param onRejected called once for each connection that was answered here */
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

  /** Node counts from the first byte on, or, before one came, from the start of the connection. */
  function timedOut(error: ConnectionError, socket: Socket): void {
    if (socket.bytesRead === 0) return; // its idle timer ends it
    const { headersAtMs } = stateOf(socket);
    const leftMs = headersAtMs === 0 ? 0 : headersAtMs + partTimeoutMs - performance.now();
    if (leftMs <= 0) return giveUp(error, socket);
    setTimeout(() => {
      if (stateOf(socket).headersAtMs === headersAtMs) giveUp(error, socket);
    }, leftMs).unref();
  }

  return {
    /** Call once, before listening. */
    tend(server: Server, idleMs: number): void {
      // Node would abort a request whose sender ends its half. Not in Node's documentation; a test holds it.
      Object.assign(server, { httpAllowHalfOpen: true });
      server.on('connection', (socket) => socket.setTimeout(idleMs));
    },

    /** A request's headers are there, and its body will be read. */
    headersRead({ socket }: IncomingMessage): void {
      stateOf(socket).headersAtMs = performance.now();
      // Node ends the idle time of its own setting only.
      if (socket.timeout !== 0) socket.setTimeout(0);
    },

    bodyRead(request: IncomingMessage): void {
      const state = stateOf(request.socket);
      state.headersAtMs = 0;
      state.answering.add(request);
    },

    answered(request: IncomingMessage): void {
      const state = stateOf(request.socket);
      const { broken } = state;
      if (!state.answering.delete(request) || state.answering.size > 0 || broken === undefined) return;
      delete state.broken;
      reject(broken, request.socket);
    },

    /** Too slow, headers too large, no HTTP: Node gives the connection up and leaves it to us. */
    failed(error: ConnectionError, socket: Socket): void {
      if (error.code === 'ECONNRESET') socket.destroy();
      else if (error.code === timeoutCode) timedOut(error, socket);
      else giveUp(error, socket);
    },
  };
}

export type ConnectionError = Error & { code?: string };

const timeoutCode = 'ERR_HTTP_REQUEST_TIMEOUT';

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
  const document = error.code === timeoutCode ? tooSlow : notHttp;
  const body = JSON.stringify(document);
  socket.write(
    `HTTP/1.1 ${document.status} ${document.title}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  endGently(socket);
}
