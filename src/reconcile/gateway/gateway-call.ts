// One call to the gateway's HTTP API: key rotation, pace, timeouts, size limits, retries.
//
// Returns a tagged value for whatever the gateway does; throws only when the caller's signal aborts. Every try waits for its
// slot in the pace, so retries also stay below the gateway's limit. Each lane has its own connections: calls that hang in one
// lane do not hold up another.
import { request, type Dispatcher } from 'undici';
import * as z from 'zod';
import { createHttpPool, type Egress } from '../../http/http-pool.ts';
import { createSemaphore } from '../../async/semaphore.ts';
import type { CallPace } from './call-pace.ts';
import type { Clock } from '../clock.ts';
import { retryWaitMs } from './retry.ts';
import { parseJson } from '../../callback/json-text.ts';
import { isSuccess } from '../../http/http-answer.ts';

export interface GatewayRequest {
  readonly method: 'GET' | 'POST';
  /** Relative to the base URL, already percent-encoded. */
  readonly path: string;
  readonly body?: string;
  readonly replyBytesMax: number;
  readonly lane: GatewayLane;
}

/** The kind of caller. */
export type GatewayLane =
  | 'commands'
  | 'records'
  | 'sweeps'
  /** A sweep after calls in `sweeps` went unanswered: one short try each. */
  | 'sweeps-in-outage'
  | 'expectations'
  | 'watch'
  | 'conflicts'
  | 'confirmations';

export type GatewayFailure =
  /** None of the brand's keys is accepted. */
  | { readonly kind: 'unauthorized' }
  /** An answer that a retry would not change. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly detail: string }
  /** No usable answer after several tries. */
  | { readonly kind: 'unavailable'; readonly reason: string };

export type GatewayReply =
  | { readonly kind: 'reply'; readonly bytes: Buffer }
  /** A successful answer larger than `replyBytesMax`; a retry would not make it smaller. */
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
/** The least time for a try whose turn comes late. */
const leastMs = 1_000;
/** Per lane. */
const connectionsMax = 16;
/** Calls that are repeated later anyway have little patience, so that they free their place for others. */
const patienceOf: Readonly<Record<GatewayLane, { readonly deadlineMs: number; readonly triesMax: number }>> = {
  commands: { deadlineMs: Infinity, triesMax: 5 },
  records: { deadlineMs: 60_000, triesMax: 5 },
  sweeps: { deadlineMs: 10_000, triesMax: 2 },
  'sweeps-in-outage': { deadlineMs: 3_000, triesMax: 1 },
  expectations: { deadlineMs: 10_000, triesMax: 3 },
  confirmations: { deadlineMs: 10_000, triesMax: 2 },
  watch: { deadlineMs: 10_000, triesMax: 2 },
  conflicts: { deadlineMs: 10_000, triesMax: 2 },
};

export function createGatewayCall(options: GatewayCallOptions) {
  const { apiKeys, takeSlot, clock, random, onAuthorization, timeoutMs = timeoutMsDefault } = options;
  const baseUrl = options.baseUrl.replace(/\/+$/, '');
  const lanes = new Map<GatewayLane, ReturnType<typeof createLane>>();
  let acceptedKey: string | undefined;

  function laneOf(name: GatewayLane) {
    const lane = lanes.get(name) ?? createLane(baseUrl, options.egress);
    lanes.set(name, lane);
    return lane;
  }

  function call(asked: GatewayRequest, signal: AbortSignal): Promise<GatewayReply> {
    const { semaphore, dispatcher } = laneOf(asked.lane);
    // Its time counts from here: waiting for a place is not the gateway's fault.
    return semaphore(() => callThrough(dispatcher, asked, signal));
  }

  async function callThrough(
    dispatcher: Dispatcher,
    asked: GatewayRequest,
    signal: AbortSignal,
  ): Promise<GatewayReply> {
    const { triesMax, deadlineMs: patienceMs } = patienceOf[asked.lane];
    const deadlineMs = clock.elapsed() + patienceMs;
    for (let tries = 1; ; tries += 1) {
      const answer = await tryKeys(dispatcher, asked, deadlineMs, signal);
      if (answer.kind === 'too-large') return answer;
      const waitMs = retryWaitMs({
        method: asked.method,
        result: answer,
        tries,
        triesMax,
        nowMs: clock.now(),
        random: random(),
      });
      if (waitMs === undefined || clock.elapsed() + waitMs >= deadlineMs) return toReply(answer);
      await clock.sleep(waitMs, signal);
    }
  }

  /** Starts with the key that was accepted last; moves to the next only on 401. */
  async function tryKeys(
    dispatcher: Dispatcher,
    asked: GatewayRequest,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Tried> {
    const keys = apiKeys();
    const ordered =
      acceptedKey === undefined
        ? keys
        : [...keys].sort((a, b) => Number(b === acceptedKey) - Number(a === acceptedKey));
    let answer: Tried = { kind: 'answer', status: 401, retryAfter: undefined, bytes: Buffer.alloc(0) };
    for (const key of ordered) {
      await takeSlot(signal);
      const leftMs = Math.max(Math.min(timeoutMs, deadlineMs - clock.elapsed()), leastMs);
      answer = await tryOnce(dispatcher, asked, { key, leftMs }, signal);
      if (answer.kind !== 'answer') return answer;
      if (answer.status !== 401) {
        // A failing server may not have checked the key at all.
        if (answer.status >= 500) return answer;
        acceptedKey = key;
        onAuthorization(true);
        return answer;
      }
    }
    onAuthorization(false);
    return answer;
  }

  async function tryOnce(
    dispatcher: Dispatcher,
    asked: GatewayRequest,
    { key, leftMs }: { key: string; leftMs: number },
    signal: AbortSignal,
  ): Promise<Tried> {
    const timeout = AbortSignal.timeout(Math.ceil(leftMs));
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
      if (bytes === undefined && isSuccess(status)) return { kind: 'too-large' };
      if (bytes === undefined) return { kind: 'no-answer', reason: 'unreadable-reply' };
      return {
        kind: 'answer',
        status,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
        bytes,
      };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'no-answer', reason: timeout.aborted ? 'timeout' : codeOf(error) };
    }
  }

  return {
    call,
    async close(): Promise<void> {
      await Promise.all([...lanes.values()].map(({ dispatcher }) => dispatcher.destroy()));
    },
  };
}

function createLane(baseUrl: string, egress: Egress) {
  const { dispatcher } = createHttpPool(baseUrl, { ...egress, connectionsMax, connectTimeoutMs });
  return { dispatcher, semaphore: createSemaphore(connectionsMax) };
}

interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly bytes: Buffer;
}

interface NoAnswer {
  readonly kind: 'no-answer';
  readonly reason: string;
}

type Tried = Answer | NoAnswer | { readonly kind: 'too-large' };

function toReply(answer: Answer | NoAnswer): GatewayReply {
  if (answer.kind === 'no-answer') return { kind: 'unavailable', reason: answer.reason };
  const { status, bytes } = answer;
  if (isSuccess(status)) return { kind: 'reply', bytes };
  if (status === 401) return { kind: 'unauthorized' };
  if (status === 408 || status === 429 || status >= 500) return { kind: 'unavailable', reason: `status-${status}` };
  return { kind: 'refused', status, ...readProblem(bytes.toString('utf8')) };
}

const problemSchema = z.object({
  type: z.string().catch(''),
  errorCode: z.string().catch(''),
  detail: z.string().catch(''),
});

/** The specific code is at the end of the problem's `type`. */
function readProblem(text: string): { code: string; detail: string } {
  const problem = problemSchema.safeParse(parseJson(text));
  if (!problem.success) return { code: '', detail: '' };
  const { type, errorCode, detail } = problem.data;
  const last = /([\w-]+)\/?$/.exec(type)?.[1] ?? '';
  return { code: last === '' ? errorCode : last, detail: detail.slice(0, 500) };
}

/** Undefined if the body is too long. */
async function readBytes(body: AsyncIterable<unknown>, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('undici passed a chunk that is not bytes');
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
