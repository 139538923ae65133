// The ids under which a job's callback reaches the merchant, whoever delivers it.
import { confirmedOf } from '../callback/confirmation.ts';
import { webhookIdOfJob, type JobData } from '../callback/job.ts';
import type { Delivery } from './attempt.ts';

/** `noted`: the confirmation noted in the job's hash, '' if there is none. */
export function toDelivery(job: JobData, attempt: number, noted = ''): Delivery {
  const confirmed = confirmedOf(job.source, noted) === 'yes' ? 'yes' : 'no';
  return { job, webhookId: webhookIdOfJob(job), sequence: job.sequence ?? 0, attempt, confirmed };
}
