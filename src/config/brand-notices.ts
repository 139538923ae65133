// Warns where the per-brand variables do not fit together: a brand that only one of them names, or that one leaves out.
// Most likely a typo. It does not stop the start, since a receiver that is down loses callbacks.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { couldBe, defaultBrand, groupByBrand, parseBrandValues } from './brand-values.ts';
import type { Brand, BrandVariables } from './brands.ts';

interface Variables extends BrandVariables {
  readonly HANDLER_MODULE?: string | undefined;
}

/** One sentence per finding, without secrets. A process without PAYALO_API_KEYS (a worker) cannot know which brands receive. */
export function brandNotices(variables: Variables, brands: ReadonlyMap<string, Brand>): string[] {
  const receiving = [...brands.values()].filter(({ apiKeys }) => apiKeys.length > 0);
  if (receiving.length === 0) return [];
  return [
    ...unknownBrands(variables, receiving),
    ...withoutUrl(variables, receiving),
    ...unsigned(receiving),
    ...keysLikeBrands(variables.PAYALO_API_KEYS ?? ''),
  ];
}

function unknownBrands(variables: Variables, receiving: readonly Brand[]): string[] {
  const known = new Set(receiving.map(({ name }) => name));
  const naming: readonly (readonly [variable: string, brands: Iterable<string>])[] = [
    ['FORWARD_URL', namedIn(variables.FORWARD_URL, couldBe.url)],
    ['FORWARD_SECRET', namedIn(variables.FORWARD_SECRET, couldBe.secret)],
    ['FORWARD_HEADERS_FILE', namedInFile(variables.FORWARD_HEADERS_FILE)],
    ['GATEWAY_API_KEY', namedIn(variables.GATEWAY_API_KEY, couldBe.key)],
    ['GATEWAY_BASE_URL', namedIn(variables.GATEWAY_BASE_URL, couldBe.url)],
  ];
  return naming.flatMap(([variable, names]) =>
    [...names]
      .filter((name) => name !== defaultBrand && !known.has(name)) // `default` holds the others' fallbacks
      .map(
        (name) =>
          `${variable} names the brand ${name}, but PAYALO_API_KEYS has no key of it, so nothing is received for it. ` +
          `PAYALO_API_KEYS names: ${[...known].join(', ')}`,
      ),
  );
}

function namedIn(text: string | undefined, possibleValue: (text: string) => boolean): Iterable<string> {
  return groupByBrand(parseBrandValues(text ?? '', possibleValue)).keys();
}

const byBrand = z.record(z.string(), z.record(z.string(), z.string()));

function namedInFile(file: string | undefined): Iterable<string> {
  if (file === undefined) return [];
  try {
    return Object.keys(byBrand.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data ?? {});
  } catch {
    return []; // a configuration problem of its own
  }
}

function withoutUrl({ HANDLER_MODULE }: Variables, receiving: readonly Brand[]): string[] {
  const left = receiving.filter(({ forwardUrl }) => forwardUrl === undefined);
  // If no brand has a URL, roles.ts reports it once for all.
  if (HANDLER_MODULE !== undefined || left.length === receiving.length) return [];
  return left.map(
    ({ name }) =>
      `FORWARD_URL has no URL for the brand ${name}: its callbacks wait in the queue for a worker of your own`,
  );
}

function unsigned(receiving: readonly Brand[]): string[] {
  const left = receiving.filter(({ forwardUrl, forwardSecrets }) => forwardUrl && forwardSecrets.length === 0);
  if (left.length === receiving.length || receiving.every(({ forwardSecrets }) => forwardSecrets.length === 0))
    return [];
  return left.map(({ name }) => `FORWARD_SECRET has no secret for the brand ${name}: its deliveries are not signed`);
}

/** `Acme=KEY` is a key of the brand `default`, including `Acme=`. */
function keysLikeBrands(text: string): string[] {
  return parseBrandValues(text, couldBe.key).flatMap(({ brand, value }, at) =>
    brand === defaultBrand && /^[\w.-]{1,32}=[^=]{16,}/.test(value) && !value.startsWith(`${defaultBrand}=`)
      ? [
          `PAYALO_API_KEYS: key ${at + 1} begins with a name and "=", but the name is not a valid brand (a-z, 0-9, -); the whole item is used as a key of the brand default`,
        ]
      : [],
  );
}
