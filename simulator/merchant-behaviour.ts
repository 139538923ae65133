// How the sample merchant answers: correctly, wrongly, late, or not at all. One value per behaviour, so that a test reads
// like what the merchant does.
import type { IncomingMessage, ServerResponse } from 'node:http';

export type MerchantBehaviour =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      readonly delayMs: number;
    }
  /** Reads the delivery and never answers. */
  | { readonly kind: 'hang' }
  /** Reads the delivery and resets the connection. */
  | { readonly kind: 'reset' }
  /** Answers with bytes that are not HTTP. */
  | { readonly kind: 'garbage' }
  /** Sends the status at once, then a byte of the body at intervals, for ever. */
  | { readonly kind: 'drip'; readonly everyMs: number }
  /** Sends a body of this many bytes after a 200. */
  | { readonly kind: 'flood'; readonly bytes: number };

interface AnswerDetails {
  readonly retryAfter?: number | string;
  readonly location?: string;
  readonly body?: string;
  readonly delayMs?: number;
}

/** An answer with this status; `retryAfter` in seconds or as an HTTP date, `location` for redirects. */
export function answer(status: number, details: AnswerDetails = {}): MerchantBehaviour {
  const { retryAfter, location, body = status < 300 ? '{"received":true}' : '', delayMs = 0 } = details;
  const headers = {
    ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
    ...(location === undefined ? {} : { Location: location }),
  };
  return { kind: 'answer', status, headers, body, delayMs };
}

/** Performs it. Returns the status that was sent; null if none was. */
export function act(behaviour: MerchantBehaviour, request: IncomingMessage, response: ServerResponse): number | null {
  switch (behaviour.kind) {
    case 'answer':
      if (response.destroyed) return null; // the sender hung up before the late answer
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
      return behaviour.status;
    case 'hang':
      return null;
    case 'reset':
      request.socket.resetAndDestroy();
      return null;
    case 'garbage':
      request.socket.end('\u0000\u0001 this is not HTTP\r\n\r\n');
      return null;
    case 'drip': {
      response.writeHead(200).write(' ');
      const drops = setInterval(() => response.write(' '), behaviour.everyMs);
      response.once('close', () => clearInterval(drops));
      return 200;
    }
    case 'flood':
      response.writeHead(200).end(Buffer.alloc(behaviour.bytes, 'x'));
      return 200;
  }
}
