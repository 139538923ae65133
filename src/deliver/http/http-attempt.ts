// One attempt over HTTP, on a pool of kept-alive connections to the merchant's endpoint.
//
// FORWARD_TIMEOUT covers the attempt until the answer's headers arrive. Their status decides: whatever happens to the body
// after it (cut off, endless, too short or too long) changes nothing, since a merchant that ignores webhook-id would book a
// repeated 2xx twice. At most 64 KB of the body are read, and only briefly. Interim answers (1xx) do not count. Redirects are
// not followed. Never throws.
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
/** From the answer's headers to the end of its body; afterwards the connection is dropped and the status counts. */
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
 * One request and its answer as one result. Uses undici's `dispatch`: its `request` creates a stream and abort listeners for
 * each answer, which cost more than the request itself.
 */
function createExchange() {
  const { promise: result, resolve } = Promise.withResolvers<AttemptResult>();
  let control: Dispatcher.DispatchController | undefined;
  let isAborted = false;
  let status: number | undefined;
  let retryAfter: string | undefined;
  let bodyTimer: NodeJS.Timeout | undefined;
  const parts: Buffer[] = [];
  let kept = 0;
  let bytes = 0;

  /** Settles with the answer if there is one by now, else with the given outcome. */
  function settle(otherwise: AttemptResult): void {
    clearTimeout(bodyTimer);
    if (status === undefined) return resolve(otherwise);
    resolve({ kind: 'answered', status, retryAfter, answer: Buffer.concat(parts).toString() });
  }

  /** Drops the connection as well: nobody would read it to its end. */
  function end(otherwise: AttemptResult): void {
    settle(otherwise);
    isAborted = true;
    control?.abort(new Error('aborted'));
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      control = controller;
      if (isAborted) controller.abort(new Error('aborted'));
    },
    onResponseStart(_controller, statusCode, headers) {
      if (statusCode < 200 && statusCode !== switchingProtocols) return; // interim: the answer follows
      status = statusCode;
      const header = headers['retry-after'];
      retryAfter = Array.isArray(header) ? header[0] : header;
      if (statusCode === switchingProtocols) return end(unusable);
      bodyTimer = setTimeout(end, bodyReadMsMax, unusable);
    },
    onResponseData(_controller, chunk) {
      // A copy: undici reuses the buffer.
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

/** Final, unlike the other 1xx: afterwards the connection speaks another protocol. */
const switchingProtocols = 101;
/** Never used: the answer's status is known where this is passed. */
const unusable: AttemptResult = { kind: 'error', error: 'unknown' };

/** A name with few values, for logs and records. */
function errorClass(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && error.code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  // If a host has several addresses, one error contains those of all of them.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const coded = [error, first, error.cause].find((item) => item instanceof Error && 'code' in item && item.code);
  return coded instanceof Error && 'code' in coded ? String(coded.code) : error.name;
}
