// Whether the gateway confirmed a callback, and why one is held. The job's hash, the API and the log share these words.
import { amountCheckOf } from './amount-check.ts';
import { amountOfJob, type JobData, type Source } from './job.ts';

/** `no`: the gateway was not asked yet, or could not answer. */
export const confirmations = ['yes', 'no', 'denied'] as const;
export type Confirmed = (typeof confirmations)[number];

/** Results that came from the gateway's own API need no confirmation. `noted`: the value in the job's hash, '' if unset. */
export function confirmedOf(source: Source, noted: string): Confirmed {
  if (source !== 'callback' || noted === 'yes') return 'yes';
  return noted === 'denied' ? 'denied' : 'no';
}

/** The gateway does not know the transaction; it reports another status; the amount is not the expected one. */
export const heldReasons = ['denied', 'differs', 'amount'] as const;
export type HeldReason = (typeof heldReasons)[number];

/** For people. Begins with the reason itself, which programs can match. */
export function describeHeld(reason: HeldReason, job: JobData | undefined): string {
  switch (reason) {
    case 'denied':
      return 'denied: the gateway does not know this transaction';
    case 'differs':
      return 'differs: the gateway reports another status for this transaction';
    case 'amount':
      return job === undefined ? 'amount: not the amount that was ordered' : `amount: ${describeMismatch(job)}`;
  }
}

/** `short, 50 KES were paid and 100 KES ordered` */
function describeMismatch(job: JobData): string {
  const [paid, ordered] = [amountOfJob(job), amountOfJob({ finalAmount: job.expectedAmount })];
  const told = (amount: typeof paid) => (amount === null ? 'nothing' : `${amount.value} ${amount.currency}`);
  return `${amountCheckOf(job) ?? 'other'}, ${told(paid)} were paid and ${told(ordered)} ordered`;
}
