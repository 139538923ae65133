// The ids under which a job's callback reaches the merchant, whoever hands it over.
import { webhookIdOfJob, type JobData } from '../callback/job.ts';
import type { Delivery } from './attempt.ts';

export function toDelivery(job: JobData, attempt: number): Delivery {
  return { job, webhookId: webhookIdOfJob(job), sequence: job.sequence ?? 0, attempt };
}
