// Processes one authenticated request: parses it, hands it to intake, and decides the answer. No HTTP here.
import { parseCallback } from '../callback/parse-callback.ts';
import type { Intake } from '../intake/intake.ts';
import { createIsoTime } from '../time/iso-time.ts';
import type { Log } from '../telemetry/log.ts';
import type { CallbackOutcome, Metrics } from '../telemetry/metrics.ts';
import { problem, type Problem } from '../http/problem.ts';
import type { TraceSpan, Tracing } from '../telemetry/tracing.ts';

export interface ReceivedRequest {
  readonly brand: string;
  readonly requestId: string;
  readonly raw: Buffer;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** From a trusted proxy; read only if tracing is on. */
  readonly traceparent?: string | undefined;
}

export type Answer =
  { readonly status: 200; readonly body: string } | { readonly status: 400 | 422 | 503; readonly problem: Problem };

/** A request with a genuine key that was refused, for an operator to look at. */
export interface RefusedRequest extends ReceivedRequest {
  readonly reason: 'not-json' | 'bad-reference';
  readonly detail: string;
  readonly receivedAtMs: number;
}

export interface ReceiveDependencies {
  readonly intake: Intake;
  /** Keeps a refused request that was received at that time (monotonic); false if it could not. Never throws. */
  readonly quarantine: (refused: RefusedRequest, receivedMs: number) => Promise<boolean>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Undefined if tracing is off. */
  readonly tracing?: Tracing | undefined;
}

const ok = { status: 200, body: '{"status":"ok"}' } as const;
const duplicate = { status: 200, body: '{"status":"ok","duplicate":true}' } as const;
const ignored = { status: 200, body: '{"status":"ok","ignored":"pending"}' } as const;

export function createReceiveCallback({ intake, quarantine, log, metrics, tracing }: ReceiveDependencies) {
  const isoTime = createIsoTime();
  return tracing === undefined ? (request: ReceivedRequest) => receive(request) : traced(tracing);

  function traced({ begin }: Tracing) {
    return async (request: ReceivedRequest): Promise<Answer> => {
      const attributes = { 'payalo.brand': request.brand, 'payalo.request_id': request.requestId };
      const span = begin({ name: 'callback.receive', kind: 'server', parent: request.traceparent, attributes });
      try {
        const answer = await receive({ ...request, traceparent: span.traceparent }, span);
        span.set({ 'http.response.status_code': answer.status });
        if (answer.status >= 500) span.fail('unavailable');
        return answer;
      } finally {
        span.end();
      }
    };
  }

  /** Counts the answer, and returns the milliseconds that it took. */
  function counted(outcome: CallbackOutcome, startedAt: number): number {
    const ms = Math.round((performance.now() - startedAt) * 100) / 100;
    metrics.callbacks.inc({ outcome });
    metrics.ackSeconds.observe(ms / 1_000);
    return ms;
  }

  async function receive(request: ReceivedRequest, span?: TraceSpan): Promise<Answer> {
    const startedAt = performance.now();
    const receivedAtMs = Date.now();
    const { brand, requestId, raw, traceparent } = request;
    const parsed = parseCallback(raw);
    if (parsed.kind !== 'callback') {
      const refused = { ...request, reason: parsed.kind, detail: parsed.detail, receivedAtMs };
      const kept = await quarantine(refused, startedAt);
      span?.set({ 'payalo.outcome': 'quarantined' });
      const fields = { requestId, brand, reason: parsed.kind, bytes: raw.length, kept };
      log.warn({ event: 'callback.quarantined', ...fields, ms: counted('quarantined', startedAt) });
      return parsed.kind === 'not-json'
        ? { status: 400, problem: problem(400, 'not-json', `${parsed.detail} ${kept ? keptHint : lostHint}`) }
        : { status: 422, problem: problem(422, 'bad-reference', `${parsed.detail} ${kept ? keptHint : lostHint}`) };
    }
    const { callback } = parsed;
    const receivedAt = isoTime(receivedAtMs);
    const origin = { brand, source: 'callback', receivedAt, requestId, traceparent } as const;
    const outcome = await intake.accept({ callback, origin }, startedAt);
    const { gatewayReference, merchantReference, status } = callback;
    const fields = { requestId, brand, gatewayReference, merchantReference, status };
    span?.set({
      'payalo.outcome': outcome.kind,
      'payalo.gateway_reference': gatewayReference,
      'payalo.status': status ?? undefined,
    });
    switch (outcome.kind) {
      case 'queued':
        log.info({ event: 'callback.accepted', ...fields, ms: counted('accepted', startedAt) });
        return ok;
      case 'overtaken': // only for corrections, which do not come this way
      case 'duplicate':
        log.info({ event: 'callback.duplicate', ...fields, ms: counted('duplicate', startedAt) });
        return duplicate;
      case 'conflict':
        log.warn({ event: 'callback.conflict', ...fields, ms: counted('conflict', startedAt) });
        return duplicate;
      case 'ignored':
        log.info({ event: 'callback.ignored', ...fields, ms: counted('ignored', startedAt) });
        return ignored;
      case 'spooled':
        log.warn({ event: 'callback.spooled', ...fields, ms: counted('spooled', startedAt) });
        return ok;
      case 'unavailable':
        log.error({
          event: 'callback.unavailable',
          ...fields,
          reason: outcome.reason,
          ms: counted('unavailable', startedAt),
        });
        return {
          status: 503,
          problem: problem(503, 'unavailable', 'The callback cannot be stored durably now. Send it again.'),
        };
    }
  }
}

const keptHint = 'The request was kept in quarantine.';
const lostHint = 'The request could not be kept.';
