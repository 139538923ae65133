// Compares the amount that was paid (a callback's final amount) with the amount of the merchant's expectation.
import { compareDecimals } from './decimal.ts';
import { amountOfJob } from './job.ts';

export const amountChecks = ['match', 'short', 'over', 'currency'] as const;
export type AmountCheck = (typeof amountChecks)[number];
/** The values that a list can be filtered by. */
export const amountFilters = [...amountChecks, 'mismatch'] as const;

/** The fields of a job that the check reads; amounts are text there. */
export interface Checked {
  readonly status: string | null;
  readonly finalAmount?: string | null | undefined;
  readonly expectedAmount?: string | undefined;
}

/** Undefined if nothing was expected, or nothing was paid. Exact: 100 and 100.00 are equal. */
export function amountCheckOf({ status, finalAmount, expectedAmount }: Checked): AmountCheck | undefined {
  const [paid, ordered] = [amountOfJob({ finalAmount }), amountOfJob({ finalAmount: expectedAmount })];
  if (status !== 'success' || paid === null || ordered === null) return undefined;
  if (paid.currency !== ordered.currency) return 'currency';
  const difference = compareDecimals(paid.value, ordered.value);
  if (difference === 0) return 'match';
  return difference < 0 ? 'short' : 'over';
}

/** Whether a person should look at it. */
export function isMismatch(check: AmountCheck | undefined): check is Exclude<AmountCheck, 'match'> {
  return check !== undefined && check !== 'match';
}
