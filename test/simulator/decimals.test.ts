import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPlainDecimal, percentOf, withTwoDecimals } from '../../simulator/decimals.ts';

const decimal = fc
  .tuple(fc.bigInt({ min: 0n, max: 10n ** 40n }), fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 8 }))
  .map(([whole, fraction]) => (fraction.length === 0 ? `${whole}` : `${whole}.${fraction.join('')}`));

/** The value in hundred-millionths, exact. */
function units(text: string): bigint {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(8, '0'));
}

describe('decimal text', () => {
  it('keeps its value and gets at least two decimals, for any decimal', () => {
    fc.assert(
      fc.property(decimal, (text) => {
        expect(isPlainDecimal(text)).toBe(true);
        expect(units(withTwoDecimals(text))).toBe(units(text));
        expect(withTwoDecimals(text)).toMatch(/^\d+\.\d{2,}$/);
      }),
    );
  });

  it('takes a percentage without a rounding beyond its last digit', () => {
    fc.assert(
      fc.property(decimal, fc.bigInt({ min: 0n, max: 200n }), (text, percent) => {
        const part = percentOf(text, percent);
        const fraction = withTwoDecimals(text).split('.')[1] ?? '';
        const lastDigit = 10n ** BigInt(8 - fraction.length);
        const rest = (units(text) * percent) / 100n - units(part);
        expect(rest >= 0n && rest < lastDigit).toBe(true);
      }),
    );
  });

  it.each(['', '.5', '5.', '-1', '+1', '1e3', '01', '1,00', 'NaN'])('refuses %j', (text) => {
    expect(isPlainDecimal(text)).toBe(false);
  });
});
