// One call to the gateway's HTTP API: keys in turn, pace, timeouts, size limits, retries.
//
// Answers a tagged value for whatever the gateway does; throws only when the caller's signal aborts. Every try waits
// for its slot in the pace, so that retries, too, stay below the gateway's limit.
import { isUtf8 } from 'node:buffer';
import { request } from 'undici';
import * as z from 'zod';
import { createHttpPool, type Egress } from '../runtime/http-pool.ts';
import type { CallPace } from './call-pace.ts';
import type { Clock } from './clock.ts';
import { retryWaitMs, type TryResult } from './retry.ts';

export interface GatewayRequest {
  readonly method: 'GET' | 'POST';
  /** Below the base URL, already percent-encoded. */
  readonly path: string;
  readonly body?: string;
  readonly replyBytesMax: number;
}

export type GatewayFailure =
  /** None of the brand's keys is accepted. */
  | { readonly kind: 'unauthorized' }
  /** An answer that trying again would not change. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly detail: string }
  /** No usable answer, although it was tried several times. */
  | { readonly kind: 'unavailable'; readonly reason: string };

export type GatewayReply =
  | { readonly kind: 'reply'; readonly text: string }
  /** A good answer of more than `replyBytesMax`; trying again would not make it smaller. */
  | { readonly kind: 'too-large' }
  | GatewayFailure;

export interface GatewayCallOptions {
  readonly baseUrl: string;
  /** Read at each call: keys may be rotated while the service runs. */
  readonly apiKeys: () => readonly string[];
  readonly takeSlot: CallPace;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onAuthorization: (accepted: boolean) => void;
  readonly egress: Egress;
  readonly timeoutMs?: number;
}

const timeoutMsDefault = 20_000;
const connectTimeoutMs = 5_000;
const connectionsMax = 8;

export type GatewayCall = ReturnType<typeof createGatewayCall>;

export function createGatewayCall(options: GatewayCallOptions) {
  const { apiKeys, takeSlot, clock, random, onAuthorization, timeoutMs = timeoutMsDefault } = options;
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const { dispatcher } = createHttpPool(baseUrl, { ...options.egress, connectionsMax, connectTimeoutMs });
  let acceptedKey: string | undefined;

  async function call(asked: GatewayRequest, signal: AbortSignal): Promise<GatewayReply> {
    for (let tries = 1; ; tries += 1) {
      const answer = await tryKeys(asked, signal);
      if (answer.kind === 'too-large') return answer;
      const result: TryResult = answer.kind === 'answer' ? answer : { kind: 'no-answer' };
      const waitMs = retryWaitMs({ method: asked.method, result, tries, nowMs: clock.now(), random: random() });
      if (waitMs === undefined) return toReply(answer);
      await clock.sleep(waitMs, signal);
    }
  }

  /** Starts with the key that was accepted last; goes on to the next only on 401. */
  async function tryKeys(asked: GatewayRequest, signal: AbortSignal): Promise<Tried> {
    const keys = apiKeys();
    const ordered =
      acceptedKey === undefined
        ? keys
        : [...keys].sort((a, b) => Number(b === acceptedKey) - Number(a === acceptedKey));
    let answer: Tried = { kind: 'answer', status: 401, retryAfter: undefined, text: '' };
    for (const key of ordered) {
      await takeSlot(signal);
      answer = await tryOnce(asked, key, signal);
      if (answer.kind !== 'answer') return answer;
      if (answer.status !== 401) {
        // A server in trouble may not have looked at the key at all.
        if (answer.status >= 500) return answer;
        acceptedKey = key;
        onAuthorization(true);
        return answer;
      }
    }
    onAuthorization(false);
    return answer;
  }

  async function tryOnce(asked: GatewayRequest, key: string, signal: AbortSignal): Promise<Tried> {
    const timeout = AbortSignal.timeout(timeoutMs);
    const both = AbortSignal.any([signal, timeout]);
    const headers = {
      'X-Api-Key': key,
      Accept: 'application/json',
      ...(asked.body !== undefined && { 'Content-Type': 'application/json' }),
    };
    try {
      const response = await request(baseUrl + asked.path, {
        method: asked.method,
        headers,
        body: asked.body ?? null,
        dispatcher,
        signal: both,
      });
      const retryAfter = response.headers['retry-after'];
      const bytes = await readBytes(response.body, asked.replyBytesMax);
      const status = response.statusCode;
      if (bytes === undefined && isGood(status)) return { kind: 'too-large' };
      if (bytes === undefined || !isUtf8(bytes)) return { kind: 'no-answer', reason: 'unreadable-reply' };
      return {
        kind: 'answer',
        status,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
        text: bytes.toString('utf8'),
      };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'no-answer', reason: timeout.aborted ? 'timeout' : codeOf(error) };
    }
  }

  return {
    call,
    async close(): Promise<void> {
      await dispatcher.destroy();
    },
  };
}

interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

interface NoAnswer {
  readonly kind: 'no-answer';
  readonly reason: string;
}

type Tried = Answer | NoAnswer | { readonly kind: 'too-large' };

function toReply(answer: Answer | NoAnswer): GatewayReply {
  if (answer.kind === 'no-answer') return { kind: 'unavailable', reason: answer.reason };
  const { status, text } = answer;
  if (isGood(status)) return { kind: 'reply', text };
  if (status === 401) return { kind: 'unauthorized' };
  if (status === 408 || status === 429 || status >= 500) return { kind: 'unavailable', reason: `status-${status}` };
  return { kind: 'refused', status, ...readProblem(text) };
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

const problemSchema = z.object({
  type: z.string().catch(''),
  errorCode: z.string().catch(''),
  detail: z.string().catch(''),
});

/** The specific code stands at the end of the problem's `type`. */
function readProblem(text: string): { code: string; detail: string } {
  const problem = problemSchema.safeParse(parseJson(text));
  if (!problem.success) return { code: '', detail: '' };
  const { type, errorCode, detail } = problem.data;
  const last = /([\w-]+)\/?$/.exec(type)?.[1] ?? '';
  return { code: last === '' ? errorCode : last, detail: detail.slice(0, 500) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Undefined where the body is too long. */
async function readBytes(body: AsyncIterable<unknown>, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('undici gave a chunk that is no bytes');
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return undefined; // leaving the loop destroys the body
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown-error';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
