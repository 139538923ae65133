// Delivery attempts over HTTP, without a queue.
import { createHttpAttempt, type HttpAttemptOptions } from '../../src/deliver/http/http-attempt.ts';
import { toDelivery } from '../../src/deliver/delivery-identity.ts';
import { jobData } from './rig.ts';

export function attemptAt(url: string, options: Partial<HttpAttemptOptions> = {}) {
  const brand = { forwardSecrets: [], forwardHeaders: {} };
  const http = createHttpAttempt({
    url,
    brand,
    timeoutMs: 5_000,
    connectionsMax: 5,
    proxies: {},
    now: Date.now,
    ...options,
  });
  return {
    attempt: async (stop = new AbortController().signal) => http.attempt(toDelivery(jobData(), 1), stop),
    close: () => http.close(),
  };
}
