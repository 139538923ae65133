// An attempt with its own span, in the trace of the request that brought the callback. The merchant gets the span as
// `traceparent`, so that its own spans appear below it. Retries and replays are further spans of that trace.
import type { Tracing } from '../telemetry/tracing.ts';
import type { Attempt, AttemptResult } from './attempt.ts';
import { isSuccess } from '../http/http-answer.ts';

export function tracedAttempt(attempt: Attempt, { begin }: Tracing): Attempt {
  return async function traced(delivery, stop) {
    const { brand, gatewayReference, status, traceparent: parent } = delivery.job;
    const span = begin({
      name: 'callback.deliver',
      kind: 'client',
      parent,
      attributes: {
        'payalo.brand': brand,
        'payalo.gateway_reference': gatewayReference,
        'payalo.status': status ?? undefined,
        'payalo.attempt': delivery.attempt,
      },
    });
    try {
      const job = { ...delivery.job, traceparent: span.traceparent };
      const result = await attempt({ ...delivery, job }, stop);
      span.set({ 'payalo.outcome': result.kind, ...answerOf(result) });
      if (!isGood(result)) span.fail(result.kind);
      return result;
    } finally {
      span.end();
    }
  };
}

function answerOf(result: AttemptResult) {
  if (result.kind === 'answered') return { 'http.response.status_code': result.status };
  return 'error' in result ? { 'error.type': result.error } : {};
}

function isGood(result: AttemptResult): boolean {
  return result.kind === 'returned' || (result.kind === 'answered' && isSuccess(result.status));
}
