// Whether a callback is true, as far as it is known, and why one is held back. The words that the job's hash, the API and the
// log share.
import { amountCheckOf } from './amount-check.ts';
import { amountOfJob, type JobData, type Source } from './job.ts';

/** `no`: not asked yet, or it cannot be told. */
export const confirmations = ['yes', 'no', 'denied'] as const;
export type Confirmed = (typeof confirmations)[number];

/** What the gateway said itself needs no confirmation. `noted`: what the job's hash says, '' where it says nothing. */
export function confirmedOf(source: Source, noted: string): Confirmed {
  if (source !== 'callback' || noted === 'yes') return 'yes';
  return noted === 'denied' ? 'denied' : 'no';
}

/** The gateway does not know it; knows it otherwise; or its amount is not what was ordered. */
export const heldReasons = ['denied', 'differs', 'amount'] as const;
export type HeldReason = (typeof heldReasons)[number];

/** For people; begins with the word that programs look for. */
export function describeHeld(reason: HeldReason, job: JobData | undefined): string {
  switch (reason) {
    case 'denied':
      return 'denied: the gateway does not know this transaction';
    case 'differs':
      return 'differs: at the gateway this transaction has another status';
    case 'amount':
      return job === undefined ? 'amount: it is not what was ordered' : `amount: ${describeMismatch(job)}`;
  }
}

/** `short, 50 KES were paid and 100 KES ordered` */
function describeMismatch(job: JobData): string {
  const [paid, ordered] = [amountOfJob(job), amountOfJob({ finalAmount: job.expectedAmount })];
  const told = (amount: typeof paid) => (amount === null ? 'nothing' : `${amount.value} ${amount.currency}`);
  return `${amountCheckOf(job) ?? 'other'}, ${told(paid)} were paid and ${told(ordered)} ordered`;
}
