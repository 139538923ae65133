// Sends copies of stored callbacks to another address, with a delivery's headers and signature plus `payalo-copy: yes`. Does
// not change the callbacks. FORWARD_HEADERS_FILE and client certificates are for the merchant's own endpoint and are not
// used.
import { toDelivery } from '../deliver/delivery-identity.ts';
import { createHttpAttempt } from '../deliver/http/http-attempt.ts';
import { isSuccess } from '../http/http-answer.ts';
import type { JobData } from '../callback/job.ts';
import type { JobRecord } from '../store/callbacks/read-callbacks.ts';
import { printable } from './output.ts';
import type { Session } from './session.ts';

export interface Copied {
  readonly brand: string;
  readonly gatewayReference: string;
  readonly webhookId: string;
  /** The answer's status; absent if there was none. */
  readonly status?: number;
  readonly error?: string;
}

export type Copier = (record: JobRecord, data: JobData) => Promise<Copied>;

export function createCopier({ config, onEnd }: Session, url: string): Copier {
  const senders = new Map<string, ReturnType<typeof createHttpAttempt>>();

  function senderOf(brand: string) {
    const known = senders.get(brand);
    if (known !== undefined) return known;
    const sender = createHttpAttempt({
      url,
      brand: {
        forwardSecrets: config.brands.get(brand)?.forwardSecrets ?? [],
        forwardHeaders: { 'payalo-copy': 'yes' },
      },
      timeoutMs: config.FORWARD_TIMEOUT,
      connectionsMax: 1,
      proxies: config,
      now: Date.now,
    });
    onEnd(() => sender.close());
    senders.set(brand, sender);
    return sender;
  }

  return async function copy({ brand, logCount, confirmed }, data) {
    const delivery = toDelivery(data, logCount + 1, confirmed);
    const result = await senderOf(brand).attempt(delivery, new AbortController().signal);
    const sent = { brand, gatewayReference: data.gatewayReference, webhookId: delivery.webhookId };
    if (result.kind === 'answered') return { ...sent, status: result.status };
    return { ...sent, error: 'error' in result ? result.error : result.kind };
  };
}

export function isTaken({ status }: Copied): boolean {
  return status !== undefined && isSuccess(status);
}

export function describeCopy(copied: Copied): string {
  const { gatewayReference, status, error } = copied;
  const answer = status === undefined ? `no answer (${error ?? 'unknown'})` : `answered ${status}`;
  return printable(`${gatewayReference}  ${answer}`);
}
