// Money as text. JavaScript's numbers would turn 100.00 into 100 and round large amounts, so the simulator never converts an
// amount to a number: callbacks repeat the merchant's own text.

const plainDecimal = /^(?:0|[1-9]\d*)(?:\.\d+)?$/;

/** Whether the text is an amount: a decimal without sign and exponent. */
export function isPlainDecimal(text: string): boolean {
  return plainDecimal.test(text);
}

/** With at least two decimals: `100` becomes `100.00`; further digits stay. */
export function withTwoDecimals(text: string): string {
  const [whole = '0', fraction = ''] = text.split('.');
  return `${whole}.${fraction.padEnd(2, '0')}`;
}

/** `percent` per cent, rounded down to the text's own decimals (at least two). */
export function percentOf(text: string, percent: bigint): string {
  const [whole = '0', fraction = ''] = withTwoDecimals(text).split('.');
  const digits = ((BigInt(whole + fraction) * percent) / 100n).toString().padStart(fraction.length + 1, '0');
  return `${digits.slice(0, -fraction.length)}.${digits.slice(-fraction.length)}`;
}
