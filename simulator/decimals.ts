// Money as the text it is written in. JavaScript's numbers would turn 100.00 into 100 and round large amounts, so the
// simulator never makes a number of an amount: what the merchant wrote is what the callback says.

const plainDecimal = /^(?:0|[1-9]\d*)(?:\.\d+)?$/;

/** Whether the text is a decimal without sign and exponent, as an amount is. */
export function isPlainDecimal(text: string): boolean {
  return plainDecimal.test(text);
}

/** At least two decimals: `100` becomes `100.00`; more digits than two stay as they are. */
export function withTwoDecimals(text: string): string {
  const [whole = '0', fraction = ''] = text.split('.');
  return `${whole}.${fraction.padEnd(2, '0')}`;
}

/** A hundredth part times `percent`, rounded down to the decimals that the text has (two at least). */
export function percentOf(text: string, percent: bigint): string {
  const [whole = '0', fraction = ''] = withTwoDecimals(text).split('.');
  const digits = ((BigInt(whole + fraction) * percent) / 100n).toString().padStart(fraction.length + 1, '0');
  return `${digits.slice(0, -fraction.length)}.${digits.slice(-fraction.length)}`;
}
