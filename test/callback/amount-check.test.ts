import { expect, test } from 'vitest';
import { amountCheckOf, amountChecks, isMismatch } from '../../src/callback/amount-check.ts';
import { amountText } from '../../src/callback/job.ts';
import { canonicalDecimal, compareDecimals } from '../../src/callback/decimal.ts';

const kes = (text: string) => amountText({ value: canonicalDecimal(text) ?? '', currency: 'KES' });
const check = (paid: string, ordered: string) =>
  amountCheckOf({ status: 'success', finalAmount: kes(paid), expectedAmount: kes(ordered) });

test.each([
  ['100', '100.00', 'match'],
  ['1e2', '100.0', 'match'],
  ['99.99', '100', 'short'],
  ['0', '0.01', 'short'],
  ['100.01', '100', 'over'],
  ['9', '10', 'short'],
  ['90071992547409930.1', '90071992547409930.2', 'short'],
])('%s paid and %s ordered is %s', (paid, ordered, expected) => {
  expect(check(paid, ordered)).toBe(expected);
});

test('a different currency takes precedence over the amount', () => {
  expect(amountCheckOf({ status: 'success', finalAmount: '100 UGX', expectedAmount: kes('100') })).toBe('currency');
});

test('there is no result if nothing was ordered, named or paid', () => {
  expect(amountCheckOf({ status: 'success', finalAmount: kes('1') })).toBeUndefined();
  expect(amountCheckOf({ status: 'success', finalAmount: null, expectedAmount: kes('1') })).toBeUndefined();
  expect(amountCheckOf({ status: 'failed', finalAmount: kes('1'), expectedAmount: kes('1') })).toBeUndefined();
});

test('decimals are compared exactly, below zero as well', () => {
  expect([compareDecimals('-1', '1'), compareDecimals('0.10', '0.1'), compareDecimals('-1', '-1.5')]).toEqual([
    -1, 0, 1,
  ]);
});

test('a search for mismatches finds every result but a match, and nothing unchecked', () => {
  expect(amountChecks.filter(isMismatch)).toEqual(['short', 'over', 'currency']);
  expect(isMismatch(undefined)).toBe(false);
});
