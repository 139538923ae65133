// One attempt over HTTP, on a pool of kept-alive connections to the merchant's endpoint.
//
// FORWARD_TIMEOUT covers the whole attempt: connecting, the answer's headers and its body. Redirects are not followed.
// At most 64 KB of an answer are read; whoever sends more has still answered. Never throws.
import { Pool, type Dispatcher } from 'undici';
import type { Brand } from '../runtime/brands.ts';
import { answerBytesMax, type Attempt, type AttemptResult } from './attempt.ts';
import { configuredHeaders, deliveryHeaders, secretKey } from './delivery-headers.ts';

export interface HttpAttemptOptions {
  readonly url: string;
  readonly brand: Pick<Brand, 'forwardSecrets' | 'forwardHeaders'>;
  readonly timeoutMs: number;
  readonly connectionsMax: number;
  readonly now: () => number;
}

const bodyReadBytesMax = 65_536;

export function createHttpAttempt({ url: text, brand, timeoutMs, connectionsMax, now }: HttpAttemptOptions) {
  const url = new URL(text);
  const path = url.pathname + url.search;
  const fixedHeaders = configuredHeaders(url, brand.forwardHeaders);
  const secrets = brand.forwardSecrets.map(secretKey);
  // The attempt's own timer is the only one; undici's would report the same under other names.
  const pool = new Pool(url.origin, {
    connections: connectionsMax,
    connect: { timeout: timeoutMs },
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  const attempt: Attempt = async (delivery, stop) => {
    const exchange = createExchange();
    const onStop = () => exchange.end({ kind: 'aborted' });
    const timer = setTimeout(exchange.end, timeoutMs, { kind: 'error', error: 'timeout' });
    stop.addEventListener('abort', onStop);
    if (stop.aborted) onStop();
    try {
      const headers = { ...fixedHeaders, ...deliveryHeaders(delivery, secrets, now()) };
      const { body } = delivery.job;
      pool.dispatch({ method: 'POST', path, headers, body }, exchange.handler);
      return await exchange.result;
    } catch (error) {
      return { kind: 'error', error: errorClass(error) };
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
    }
  };

  return { attempt, close: () => pool.destroy() };
}

/**
 * One request and its answer as one result. On undici's `dispatch`, whose `request` makes a stream and an AbortSignal's
 * listeners for each answer, which here cost more than the request.
 */
function createExchange() {
  const { promise: result, resolve } = Promise.withResolvers<AttemptResult>();
  let control: Dispatcher.DispatchController | undefined;
  let isBrokenOff = false;
  let status = 0;
  let retryAfter: string | undefined;
  const parts: Buffer[] = [];
  let kept = 0;
  let bytes = 0;

  /** Settles it with a result of ours, and gives up the connection: nobody would read it to its end. */
  function end(outcome: AttemptResult): void {
    resolve(outcome);
    isBrokenOff = true;
    control?.abort(new Error('broken off'));
  }

  const answered = (): AttemptResult => ({
    kind: 'answered',
    status,
    retryAfter,
    answer: Buffer.concat(parts).toString(),
  });

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      control = controller;
      if (isBrokenOff) controller.abort(new Error('broken off'));
    },
    onResponseStart(_controller, statusCode, headers) {
      if (statusCode < 200) return; // only information; the answer is still to come
      status = statusCode;
      const header = headers['retry-after'];
      retryAfter = Array.isArray(header) ? header[0] : header;
    },
    onResponseData(_controller, chunk) {
      // A copy: what undici hands over is part of what it reads into.
      if (kept < answerBytesMax) parts.push(Buffer.from(chunk.subarray(0, answerBytesMax - kept)));
      kept = Math.min(kept + chunk.length, answerBytesMax);
      bytes += chunk.length;
      if (bytes > bodyReadBytesMax) end(answered());
    },
    onResponseEnd: () => resolve(answered()),
    onResponseError: (_controller, error) => resolve({ kind: 'error', error: errorClass(error) }),
  };

  return { result, handler, end };
}

/** A name for logs and records that says what went wrong and has few values. */
function errorClass(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && error.code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  // A host with several addresses fails with one error for all of them.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const coded = [error, first, error.cause].find((item) => item instanceof Error && 'code' in item && item.code);
  return coded instanceof Error && 'code' in coded ? String(coded.code) : error.name;
}
