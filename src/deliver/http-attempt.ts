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
    const controller = new AbortController();
    let cause: 'timeout' | 'stop' | undefined;
    const end = (why: 'timeout' | 'stop') => {
      cause ??= why;
      controller.abort();
    };
    const onStop = () => end('stop');
    const timer = setTimeout(end, timeoutMs, 'timeout');
    stop.addEventListener('abort', onStop);
    if (stop.aborted) onStop();
    try {
      const headers = { ...fixedHeaders, ...deliveryHeaders(delivery, secrets, now()) };
      const { body } = delivery.job;
      return await read(await pool.request({ method: 'POST', path, headers, body, signal: controller.signal }));
    } catch (error) {
      if (cause === 'stop') return { kind: 'aborted' };
      return { kind: 'error', error: cause ?? errorClass(error) };
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
    }
  };

  return { attempt, close: () => pool.destroy() };
}

async function read(response: Dispatcher.ResponseData): Promise<AttemptResult> {
  const parts: Buffer[] = [];
  let kept = 0;
  let bytes = 0;
  for await (const chunk of response.body) {
    if (!Buffer.isBuffer(chunk)) continue;
    if (kept < answerBytesMax) parts.push(chunk.subarray(0, answerBytesMax - kept));
    kept = Math.min(kept + chunk.length, answerBytesMax);
    bytes += chunk.length;
    // Leaving the loop destroys the body, and with it a connection that nobody would read to its end.
    if (bytes > bodyReadBytesMax) break;
  }
  const retryAfter = response.headers['retry-after'];
  return {
    kind: 'answered',
    status: response.statusCode,
    retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
    answer: Buffer.concat(parts).toString(),
  };
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
