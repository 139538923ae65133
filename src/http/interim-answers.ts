// Removes interim answers (RFC 9110, 15.2: 100, 102, 103, ...) from what an HTTP/1.1 server sends.
//
// A client must accept any number of them before the final answer, even unsolicited. undici closes the connection on an
// unsolicited `100 Continue` and has no option against that, so they are removed before its parser sees them.
// `101 Switching Protocols` passes: it is final, and nobody here asks to switch.
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import * as z from 'zod';

/** A longer interim answer is passed on to the parser, which refuses it. */
const headBytesMax = 16_384;
const interimStart = 'HTTP/1.x 1xx';
const headEnds = ['\r\n\r\n', '\n\n'];

/** undici announces on this channel that it is about to write a request to a socket (its documented diagnostics). */
const requestChannel = 'undici:client:sendHeaders';
const requestSchema = z.object({ socket: z.custom<Socket>((value) => typeof value === 'object' && value !== null) });
const answerBegins = new WeakMap<Socket, () => void>();
let isSubscribed = false;

export function dropInterimAnswers(socket: Socket): void {
  if (!isSubscribed) {
    isSubscribed = true;
    subscribe(requestChannel, (message) => answerBegins.get(requestSchema.parse(message).socket)?.());
  }
  const push = socket.push.bind(socket);
  let isAtStart = true;
  let held = Buffer.alloc(0);
  answerBegins.set(socket, () => {
    isAtStart = true;
  });

  function release(): boolean {
    isAtStart = false;
    const bytes = held;
    held = Buffer.alloc(0);
    return bytes.length === 0 || push(bytes);
  }

  // Every byte that arrives passes through `push`. Pipelined answers cannot occur: one request is in flight at a time.
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (!isAtStart) return push(chunk, encoding);
    if (!(chunk instanceof Uint8Array)) {
      release();
      return push(chunk, encoding);
    }
    held = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
    for (;;) {
      const bytes = interimBytes(held);
      if (bytes === undefined) return true;
      if (bytes === 0) return release();
      held = held.subarray(bytes);
    }
  };
}

/** The length in bytes of the interim answer at the start; 0 if there is none, undefined if it is not known yet. */
function interimBytes(held: Buffer): number | undefined {
  const start = held.subarray(0, interimStart.length).toString('latin1');
  if (!couldBeInterim(start)) return 0;
  if (start.length < interimStart.length) return undefined;
  const ends = headEnds.map((end) => ({ at: held.indexOf(end), bytes: end.length })).filter(({ at }) => at >= 0);
  const first = ends.toSorted((a, b) => a.at - b.at)[0];
  if (first !== undefined) return first.at + first.bytes;
  return held.length > headBytesMax ? 0 : undefined;
}

/** Whether the bytes are, or may become, the start of an interim answer. */
function couldBeInterim(start: string): boolean {
  const whole = start + 'HTTP/1.1 100'.slice(start.length);
  return /^HTTP\/1\.[01] 1\d\d$/.test(whole) && whole !== 'HTTP/1.1 101' && whole !== 'HTTP/1.0 101';
}
