// One attempt over HTTP, on a pool of kept-alive connections to the merchant's endpoint.
//
// FORWARD_TIMEOUT covers the attempt until the answer's headers are there. Their status is the merchant's word: whatever
// becomes of the body behind it (cut off, endless, longer or shorter than announced) changes nothing, since a 2xx that is
// repeated would be booked twice by a merchant that heeds no webhook-id. A body is read for a moment only, and at most
// 64 KB of it. Interim answers (1xx) are no answers. Redirects are not followed. Never throws.
import type { Dispatcher } from 'undici';
import type { Brand } from '../../config/brands.ts';
import { createHttpPool, type Egress } from '../../http/http-pool.ts';
import { answerBytesMax, type Attempt, type AttemptResult } from '../attempt.ts';
import { secretKey } from '../../http/webhook-signature.ts';
import { configuredHeaders, deliveryHeaders } from './delivery-headers.ts';

export interface HttpAttemptOptions extends Egress {
  readonly url: string;
  readonly brand: Pick<Brand, 'forwardSecrets' | 'forwardHeaders'> & Partial<Pick<Brand, 'forwardTls'>>;
  readonly timeoutMs: number;
  readonly connectionsMax: number;
  readonly now: () => number;
}

const bodyReadBytesMax = 65_536;
/** From the answer's headers to the end of its body; then the connection is given up and the status counts. */
const bodyReadMsMax = 1_000;

export function createHttpAttempt(options: HttpAttemptOptions) {
  const { url: text, brand, timeoutMs, connectionsMax, proxies, lookup, now } = options;
  const url = new URL(text);
  const path = url.pathname + url.search;
  const fixedHeaders = configuredHeaders(url, brand.forwardHeaders);
  const secrets = brand.forwardSecrets.map(secretKey);
  const { origin, dispatcher } = createHttpPool(text, {
    connectionsMax,
    connectTimeoutMs: timeoutMs,
    proxies,
    lookup,
    tls: brand.forwardTls,
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
      dispatcher.dispatch({ origin, method: 'POST', path, headers, body }, exchange.handler);
      return await exchange.result;
    } catch (error) {
      return { kind: 'error', error: errorClass(error) };
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
    }
  };

  return { attempt, close: () => dispatcher.destroy() };
}

/**
 * One request and its answer as one result. On undici's `dispatch`, whose `request` makes a stream and an AbortSignal's
 * listeners for each answer, which here cost more than the request.
 */
function createExchange() {
  const { promise: result, resolve } = Promise.withResolvers<AttemptResult>();
  let control: Dispatcher.DispatchController | undefined;
  let isBrokenOff = false;
  let status: number | undefined;
  let retryAfter: string | undefined;
  let patience: NodeJS.Timeout | undefined;
  const parts: Buffer[] = [];
  let kept = 0;
  let bytes = 0;

  /** Settles it with the answer, if there is one by now, else with the outcome given. */
  function settle(otherwise: AttemptResult): void {
    clearTimeout(patience);
    if (status === undefined) return resolve(otherwise);
    resolve({ kind: 'answered', status, retryAfter, answer: Buffer.concat(parts).toString() });
  }

  /** Gives up the connection as well: nobody would read it to its end. */
  function end(otherwise: AttemptResult): void {
    settle(otherwise);
    isBrokenOff = true;
    control?.abort(new Error('broken off'));
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      control = controller;
      if (isBrokenOff) controller.abort(new Error('broken off'));
    },
    onResponseStart(_controller, statusCode, headers) {
      if (statusCode < 200 && statusCode !== switchingProtocols) return; // interim; the answer is still to come
      status = statusCode;
      const header = headers['retry-after'];
      retryAfter = Array.isArray(header) ? header[0] : header;
      if (statusCode === switchingProtocols) return end(unusable);
      patience = setTimeout(end, bodyReadMsMax, unusable);
    },
    onResponseData(_controller, chunk) {
      // A copy: what undici hands over is part of what it reads into.
      if (kept < answerBytesMax) parts.push(Buffer.from(chunk.subarray(0, answerBytesMax - kept)));
      kept = Math.min(kept + chunk.length, answerBytesMax);
      bytes += chunk.length;
      if (bytes > bodyReadBytesMax) end(unusable);
    },
    onResponseEnd: () => settle(unusable),
    onResponseError: (_controller, error) => settle({ kind: 'error', error: errorClass(error) }),
  };

  return { result, handler, end };
}

/** Final, unlike the other 1xx: from then on the connection speaks another protocol. */
const switchingProtocols = 101;
/** Cannot come up: the answer's status is known where this is given. */
const unusable: AttemptResult = { kind: 'error', error: 'unknown' };

/** A name for logs and records that says what went wrong and has few values. */
function errorClass(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && error.code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  // A host with several addresses fails with one error for all of them.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const coded = [error, first, error.cause].find((item) => item instanceof Error && 'code' in item && item.code);
  return coded instanceof Error && 'code' in coded ? String(coded.code) : error.name;
}
