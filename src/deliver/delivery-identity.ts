// The ids under which a job's callback reaches the merchant, whoever hands it over.
import { kindOf, webhookIdOf } from '../callback/identity.ts';
import { identityBrandOf, type JobData } from '../queue/job.ts';
import type { Delivery } from './attempt.ts';

export function toDelivery(job: JobData, attempt: number): Delivery {
  const { gatewayReference, status, sequence = 0 } = job;
  // `pending` has no kind and is never queued by us; were it, it would still need an id of its own.
  const kind = kindOf(status) ?? `status:${status ?? ''}`;
  return {
    job,
    webhookId: webhookIdOf({ brand: identityBrandOf(job), gatewayReference, kind }, sequence),
    sequence,
    attempt,
  };
}
