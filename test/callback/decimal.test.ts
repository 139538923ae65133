import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addDecimals,
  canonicalDecimal,
  compareDecimals,
  mayHoldLongNumber,
  negateDecimal,
  parseExact,
} from '../../src/callback/decimal.ts';

test.for([
  ['100.00', '100'],
  ['1e2', '100'],
  ['0100', '100'],
  ['0.10', '0.1'],
  ['-0.0', '0'],
  ['-12.50', '-12.5'],
  ['12345678901234567890.123', '12345678901234567890.123'],
  ['5e-3', '0.005'],
  ['1.5E+1', '15'],
])('writes %s as %s', ([text, canonical]) => {
  expect(canonicalDecimal(text ?? '')).toBe(canonical);
});

test.for(['', 'abc', '1,000', '0x10', '1e9999', '--1', '1.', 'NaN'])('rejects %s as not a decimal', (text) => {
  expect(canonicalDecimal(text)).toBeUndefined();
});

test('returns the same text for the same number, however it is written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.nat(12), (units, scale) => {
      const digits = units.toString().padStart(scale + 1, '0');
      const point = digits.length - scale;
      const plain = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
      expect(canonicalDecimal(`${plain}${scale === 0 ? '.0' : '00'}`)).toBe(canonicalDecimal(plain));
      expect(canonicalDecimal(`${units}e-${scale}`)).toBe(canonicalDecimal(plain));
    }),
  );
});

test("keeps every number's own text", () => {
  const json = '{"a":100.00,"b":[9007199254740993,1e2],"c":"100.00","d":null}';
  expect(parseExact(json)).toEqual({ a: '100.00', b: ['9007199254740993', '1e2'], c: '100.00', d: null });
});

test('parses any JSON like JSON.parse, except for numbers', () => {
  const withTexts = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' ? context?.source : value;
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (json) => {
      expect(parseExact(json)).toEqual(JSON.parse(json, withTexts));
    }),
  );
});

test.for(['01', '-', '1.', '.5', '+1', '1e', '{1:2}', '{12 :2}', '{"a":1 2}', '[1,]', '{"a":-01}', '1"'])(
  'refuses %s, which is not JSON',
  (text) => {
    expect(() => parseExact(text)).toThrow(SyntaxError);
  },
);

test('reads JSON that nests deeper than the stack', () => {
  const depth = 200_000;
  const text = `${'['.repeat(depth)}1.50${']'.repeat(depth)}`;
  let inner = parseExact(text);
  while (Array.isArray(inner)) inner = inner[0];
  expect(inner).toBe('1.50');
});

test('never overlooks a number that a double would change', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 25n }), fc.nat(20), (units, scale) => {
      const digits = units.toString().padStart(scale + 1, '0');
      const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
      fc.pre(!mayHoldLongNumber(text));
      expect(canonicalDecimal(String(Number(text)))).toBe(canonicalDecimal(text));
    }),
  );
});

test.for([
  ['1', '-1', 1],
  ['-1', '1', -1],
  ['-1', '-1.5', 1],
  ['0.10', '0.1', 0],
  ['10', '9.99', 1],
] as const)('compares %s with %s', ([a, b, order]) => {
  expect(compareDecimals(a, b)).toBe(order);
});

test('adds and subtracts exactly, with any signs and digits', () => {
  const decimal = fc.tuple(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), fc.nat(6));
  const textOf = ([units, scale]: readonly [bigint, number]) => canonicalDecimal(`${units}e-${scale}`) ?? '';
  const millionthsOf = ([units, scale]: readonly [bigint, number]) => units * 10n ** BigInt(6 - scale);
  fc.assert(
    fc.property(decimal, decimal, (a, b) => {
      expect(addDecimals(textOf(a), textOf(b))).toBe(textOf([millionthsOf(a) + millionthsOf(b), 6]));
      expect(addDecimals(textOf(a), negateDecimal(textOf(b)))).toBe(textOf([millionthsOf(a) - millionthsOf(b), 6]));
    }),
  );
  expect(addDecimals('0.07', '-0.02')).toBe('0.05');
  expect(addDecimals('-0.07', '0.02')).toBe('-0.05');
  expect(addDecimals('100', '-100')).toBe('0');
});

test('negates, but never returns a negative zero', () => {
  expect(['100.5', '-100.5', '0'].map(negateDecimal)).toEqual(['-100.5', '100.5', '0']);
});
