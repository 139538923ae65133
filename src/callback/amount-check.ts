// Whether what was paid is what was ordered: the final amount of a callback against the amount of the merchant's expectation.
import { compareDecimals } from './decimal.ts';
import { amountOfJob } from './job.ts';

export const amountChecks = ['match', 'short', 'over', 'currency'] as const;
export type AmountCheck = (typeof amountChecks)[number];
/** What a list can be asked for. */
export const amountFilters = [...amountChecks, 'mismatch'] as const;

/** Of a job, which holds its amounts as text. */
export interface Checked {
  readonly status: string | null;
  readonly finalAmount?: string | null | undefined;
  readonly expectedAmount?: string | undefined;
}

/** Undefined where nothing was expected, or nothing was paid. Exact: 100 and 100.00 are equal. */
export function amountCheckOf({ status, finalAmount, expectedAmount }: Checked): AmountCheck | undefined {
  const [paid, ordered] = [amountOfJob({ finalAmount }), amountOfJob({ finalAmount: expectedAmount })];
  if (status !== 'success' || paid === null || ordered === null) return undefined;
  if (paid.currency !== ordered.currency) return 'currency';
  const difference = compareDecimals(paid.value, ordered.value);
  if (difference === 0) return 'match';
  return difference < 0 ? 'short' : 'over';
}

/** Of the checks, those that a person should look at. */
export function isMismatch(check: AmountCheck | undefined): check is Exclude<AmountCheck, 'match'> {
  return check !== undefined && check !== 'match';
}
