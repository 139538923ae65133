// Amounts as exact decimals. A JSON number's own text is kept, because a double cannot hold every amount.

export interface Amount {
  /** Canonical: no exponent, no sign on zero, no leading or trailing zeros. `100.00`, `1e2` and `100` are all `100`. */
  readonly value: string;
  readonly currency: string;
}

const decimalPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

/** The canonical form of a decimal; undefined if the text is not a decimal, or has an exponent beyond any amount. */
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

/** Negative, zero or positive: whether the first canonical decimal is smaller, equal or larger. */
export function compareDecimals(a: string, b: string): number {
  const digits = Math.max(fractionDigits(a), fractionDigits(b));
  const [left, right] = [scaled(a, digits), scaled(b, digits)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The exact sum of two canonical decimals, in canonical form. */
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
 * Parses JSON and keeps every number as its exact text (`100.00` becomes `"100.00"`), at any nesting depth.
 * Throws SyntaxError if the text is not JSON.
 */
export function parseExact(json: string): unknown {
  return JSON.parse(json.replace(stringOrNumber, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}

/**
 * Turns numbers into strings before parsing, since a reviver would recurse as deep as the text nests. Strings are
 * skipped as a whole. Quoting never makes a number valid that JSON forbids (`01`, `1.`, a number as a key).
 */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\s*:)/g;

/**
 * Whether a double might lose digits of some number in this JSON text. May return true needlessly, never false
 * wrongly. A number follows one of a few characters, so a reference that begins with many digits does not match.
 */
export function mayHoldLongNumber(json: string): boolean {
  return /(?:^|[\s:,[+-])[\d.]{16}/.test(json);
}
