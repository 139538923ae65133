// The one grammar of the five per-brand variables: `value`, `brand=value`, several separated by commas.
//
// An item names a brand only if what stands before its first `=` could be a brand and what follows could be a value;
// anything else is a value of the brand `default`. So a base64 key that ends in `=` and a URL with a query need no quoting.
import * as z from 'zod';

export const defaultBrand = 'default';

const brandPattern = /^[a-z0-9-]{1,32}$/;

export const isBrandName = (text: string): boolean => brandPattern.test(text);

/** Names of brands, separated by commas. */
export const brandNames = z
  .string()
  .default('')
  .transform((text) => text.split(',').map((name) => name.trim()))
  .transform((names) => names.filter((name) => name !== ''))
  .refine((names) => names.every(isBrandName), 'must be names of brands (a-z, 0-9, -) separated by commas');

export interface BrandValue {
  readonly brand: string;
  readonly value: string;
}

/** What could be a value of a variable: a key, a URL, a signing secret, a file, a word (docs/reference/configuration.md). */
export const couldBe = {
  key: (text: string) => text.length >= 16,
  url: (text: string) => text.startsWith('http'),
  secret: (text: string) => text.startsWith('whsec_'),
  file: (text: string) => /[./\\]/.test(text),
  word: (text: string) => /^[a-z]+$/.test(text),
} as const;

/** Splits a per-brand variable into its items, in order; empty items (a trailing comma) are passed over. */
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

/** Values by brand, in the order they were written. */
export function groupByBrand(items: readonly BrandValue[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { brand, value } of items) groups.set(brand, [...(groups.get(brand) ?? []), value]);
  return groups;
}
