// Amounts as exact decimals. A JSON number's own text is kept, because a double cannot hold every amount.

export interface Amount {
  /** Canonical: no exponent, no sign on zero, no leading or trailing zeros. `100.00`, `1e2` and `100` are all `100`. */
  readonly value: string;
  readonly currency: string;
}

const decimalPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

/** The canonical form of a decimal's text, or undefined if it is none (or has an exponent no amount has). */
export function canonicalDecimal(text: string): string | undefined {
  const match = decimalPattern.exec(text.trim());
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');
  const at = Math.max(point, 1);
  const integer = padded.slice(0, at).replace(/^0+(?=\d)/, '');
  const rest = padded.slice(at).replace(/0+$/, '');
  const value = rest === '' ? integer : `${integer}.${rest}`;
  return value === '0' ? value : sign + value;
}

/** Negative, zero or positive, as the first of two canonical decimals is smaller, equal or larger. */
export function compareDecimals(a: string, b: string): number {
  const digits = Math.max(fractionDigits(a), fractionDigits(b));
  const [left, right] = [scaled(a, digits), scaled(b, digits)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The exact sum of canonical decimals, canonical. */
export function addDecimals(a: string, b: string): string {
  const digits = Math.max(fractionDigits(a), fractionDigits(b));
  const sum = scaled(a, digits) + scaled(b, digits);
  const text = (sum < 0n ? -sum : sum).toString().padStart(digits + 1, '0');
  const whole = text.slice(0, text.length - digits);
  const value = canonicalDecimal(digits === 0 ? whole : `${whole}.${text.slice(-digits)}`) ?? '0';
  return sum < 0n ? `-${value}` : value;
}

export function negateDecimal(value: string): string {
  if (value === '0') return value;
  return value.startsWith('-') ? value.slice(1) : `-${value}`;
}

function fractionDigits(value: string): number {
  const point = value.indexOf('.');
  return point < 0 ? 0 : value.length - point - 1;
}

function scaled(value: string, digits: number): bigint {
  return BigInt(value.replace('.', '') + '0'.repeat(digits - fractionDigits(value)));
}

/**
 * Parses JSON with every number as the exact text that stands in it (`100.00` stays `"100.00"`), however deep it nests.
 * Throws SyntaxError where the text is no JSON.
 */
export function parseExact(json: string): unknown {
  return JSON.parse(json.replace(stringOrNumber, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}

/**
 * Numbers become strings before they are parsed, since a reviver would recurse as deep as the text nests. A string is
 * skipped as a whole. A number that JSON forbids (`01`, `1.`, one for a key) is not made valid by its quotes.
 */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\s*:)/g;

/**
 * Whether a double might have lost digits of some number in this JSON text. Errs to true, never to false. A number
 * follows one of few characters, so a reference that begins with many digits is not taken for one.
 */
export function mayHoldLongNumber(json: string): boolean {
  return /(?:^|[\s:,[+-])[\d.]{16}/.test(json);
}
