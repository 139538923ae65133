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
     * The brand whose key this `X-API-KEY` header is; undefined if it is none. Node joins repeated headers with
     * commas, which no key contains: a header sent twice counts only if both carry the same key.
     */
    brandOf(header: string | string[] | undefined): string | undefined {
      const key = soleKey(header);
      const given = digest(key ?? '');
      let found: string | undefined;
      for (const { brand, expected } of accepted) {
        if (timingSafeEqual(given, expected)) found = brand;
      }
      return key === undefined ? undefined : found;
    },

    replace(keys: ReadonlyMap<string, readonly string[]>): void {
      accepted = toDigests(keys);
    },
  };
}

/** The one key that a header carries, however often; undefined where there are different ones. */
function soleKey(header: string | string[] | undefined): string | undefined {
  if (typeof header === 'string' && !header.includes(',')) return withoutBlanks(header);
  const values = new Set(
    [header ?? '']
      .flat()
      .flatMap((value) => value.split(','))
      .map(withoutBlanks),
  );
  const [key] = values;
  return values.size === 1 ? key : undefined;
}

/**
 * Not `trim`, for which the last byte of a key's UTF-8 can be a blank too (0xA0, of `à`); no expression either, which
 * would take long over many blanks in the middle.
 */
function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function toDigests(keys: ReadonlyMap<string, readonly string[]>) {
  return [...keys].flatMap(([brand, ofBrand]) =>
    ofBrand.map((key) => ({ brand, expected: digest(asHeaderText(key)) })),
  );
}

/** Each character of a header is a byte; a key's own characters come as their UTF-8. */
function asHeaderText(key: string): string {
  return Buffer.from(key, 'utf8').toString('latin1');
}

/** As text at once: a hash handed over as bytes costs three times as much. */
function digest(headerText: string): Buffer {
  return hash('sha256', headerText, 'buffer');
}
