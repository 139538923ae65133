// The accepted API keys, and whose key a request carries.
//
// Every accepted key is compared, in constant time and without an early exit, so that the duration of the answer tells
// nothing about how much of a key was right, or whose it was. Only digests are kept.
import { hash, timingSafeEqual } from 'node:crypto';

export type ApiKeys = ReturnType<typeof createApiKeys>;

export function createApiKeys(initial: ReadonlyMap<string, readonly string[]>) {
  let accepted = toDigests(initial);

  return {
    /**
     * The brand whose key this `X-API-KEY` header is; undefined where it is none. Node joins repeated headers with
     * commas, which no key contains: a header sent twice counts only if both carry the same key.
     */
    brandOf(header: string | string[] | undefined): string | undefined {
      const values = new Set(
        (typeof header === 'string' ? header.split(',') : (header ?? [])).map((key) => key.trim()),
      );
      const [key = ''] = values;
      const given = digest(Buffer.from(key, 'latin1')); // header text is bytes; a key's own characters are UTF-8
      let found: string | undefined;
      for (const { brand, expected } of accepted) {
        if (timingSafeEqual(given, expected)) found = brand;
      }
      return values.size === 1 ? found : undefined;
    },

    replace(keys: ReadonlyMap<string, readonly string[]>): void {
      accepted = toDigests(keys);
    },
  };
}

function toDigests(keys: ReadonlyMap<string, readonly string[]>) {
  return [...keys].flatMap(([brand, ofBrand]) =>
    ofBrand.map((key) => ({ brand, expected: digest(Buffer.from(key, 'utf8')) })),
  );
}

function digest(key: Buffer): Buffer {
  return hash('sha256', key, 'buffer');
}
