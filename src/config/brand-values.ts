// The one grammar of the five per-brand variables: `value`, `brand=value`, several separated by commas.
//
// An item names a brand only if the text before its first `=` is a valid brand name and the text after it a possible value;
// otherwise it is a value of the brand `default`. So a base64 key that ends in `=` and a URL with a query need no quoting.
import * as z from 'zod';

export const defaultBrand = 'default';

const brandPattern = /^[a-z0-9-]{1,32}$/;

export const isBrandName = (text: string): boolean => brandPattern.test(text);

/** Brand names, separated by commas. */
export const brandNames = z
  .string()
  .default('')
  .transform((text) => text.split(',').map((name) => name.trim()))
  .transform((names) => names.filter((name) => name !== ''))
  .refine((names) => names.every(isBrandName), 'must be brand names (a-z, 0-9, -) separated by commas');

export interface BrandValue {
  readonly brand: string;
  readonly value: string;
}

/** Tests for a possible value of each type: key, URL, signing secret, file, word (docs/reference/configuration.md). */
export const couldBe = {
  key: (text: string) => text.length >= 16,
  url: (text: string) => text.startsWith('http'),
  secret: (text: string) => text.startsWith('whsec_'),
  file: (text: string) => /[./\\]/.test(text),
  word: (text: string) => /^[a-z]+$/.test(text),
} as const;

/** Splits a per-brand variable into its items, in order; skips empty items (a trailing comma). */
export function parseBrandValues(text: string, possibleValue: (text: string) => boolean): BrandValue[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => {
      const at = item.indexOf('=');
      const brand = item.slice(0, Math.max(at, 0));
      const value = item.slice(at + 1);
      return brandPattern.test(brand) && possibleValue(value) ? { brand, value } : { brand: defaultBrand, value: item };
    });
}

/** Values by brand, in written order. */
export function groupByBrand(items: readonly BrandValue[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { brand, value } of items) groups.set(brand, [...(groups.get(brand) ?? []), value]);
  return groups;
}
