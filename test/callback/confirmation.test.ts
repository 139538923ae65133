import { expect, test } from 'vitest';
import { confirmedOf, describeHeld } from '../../src/callback/confirmation.ts';
import { sources, toJobData } from '../../src/callback/job.ts';
import { aCallback, anOrigin } from './job-of.ts';

test('a result from the gateway’s API is confirmed; a callback only if that is noted', () => {
  for (const source of sources.filter((each) => each !== 'callback'))
    expect(['', 'no', 'denied'].map((noted) => confirmedOf(source, noted))).toEqual(['yes', 'yes', 'yes']);
  expect(['', 'no', 'yes', 'denied'].map((noted) => confirmedOf('callback', noted))).toEqual([
    'no',
    'no',
    'yes',
    'denied',
  ]);
});

test('the reason for holding a callback is readable, with both amounts for a mismatch', () => {
  const job = (expectedAmount: string, value?: string) => ({
    ...toJobData({ ...aCallback, finalAmount: value === undefined ? null : { value, currency: 'KES' } }, anOrigin),
    expectedAmount,
  });
  expect(describeHeld('denied', job('1 KES'))).toBe('denied: the gateway does not know this transaction');
  expect(describeHeld('differs', job('1 KES'))).toBe(
    'differs: the gateway reports another status for this transaction',
  );
  expect(describeHeld('amount', job('100 KES', '50'))).toBe('amount: short, 50 KES were paid and 100 KES ordered');
  expect(describeHeld('amount', job('100 KES', '150'))).toBe('amount: over, 150 KES were paid and 100 KES ordered');
  expect(describeHeld('amount', job('100 UGX', '100'))).toBe('amount: currency, 100 KES were paid and 100 UGX ordered');
  expect(describeHeld('amount', job('100 KES'))).toBe('amount: other, nothing were paid and 100 KES ordered');
  expect(describeHeld('amount', undefined)).toBe('amount: not the amount that was ordered');
});
