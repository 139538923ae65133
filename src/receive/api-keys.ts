// The accepted API keys, and which brand's key a request carries.
//
// Every accepted key is compared, in constant time and without an early exit, so that the response time reveals nothing about
// how much of a key was right, its length or its owner. For that, all keys are padded to the length of the longest accepted
// one, which costs a fraction of hashing each given key.
import { timingSafeEqual } from 'node:crypto';

const lengthBytes = 4;

export type ApiKeys = ReturnType<typeof createApiKeys>;

export function createApiKeys(initial: ReadonlyMap<string, readonly string[]>) {
  let { accepted, layOut } = laidOut(initial);

  return {
    /**
     * The brand whose key this `X-API-KEY` header is; undefined if it is none of ours. Node joins repeated headers with
     * commas, which no key contains: a header sent twice counts only if both carry the same key.
     */
    brandOf(header: string | string[] | undefined): string | undefined {
      const key = soleKey(header);
      const given = layOut(key ?? '');
      let found: string | undefined;
      for (const { brand, expected } of accepted) {
        if (timingSafeEqual(given, expected)) found = brand;
      }
      return key === undefined ? undefined : found;
    },

    replace(keys: ReadonlyMap<string, readonly string[]>): void {
      ({ accepted, layOut } = laidOut(keys));
    },
  };
}

/** The one key that a header carries, even repeated; undefined if there are different ones. */
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
 * Not `trim`, which would also remove the byte 0xA0 at the end of a key's UTF-8 (as in `à`); not a regular expression either,
 * which would take long with many spaces in the middle.
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

interface LaidOut {
  readonly accepted: readonly { readonly brand: string; readonly expected: Buffer }[];
  /** Returns the same buffer each time: compare it before the next call. */
  readonly layOut: (headerText: string) => Buffer;
}

function laidOut(keys: ReadonlyMap<string, readonly string[]>): LaidOut {
  const texts = [...keys].flatMap(([brand, ofBrand]) => ofBrand.map((key) => ({ brand, text: asHeaderText(key) })));
  const length = Math.max(0, ...texts.map(({ text }) => text.length));
  const bytes = length + lengthBytes;
  const given = Buffer.alloc(bytes);
  return {
    accepted: texts.map(({ brand, text }) => ({ brand, expected: writeKey(Buffer.alloc(bytes), text) })),
    layOut: (headerText) => writeKey(given, headerText),
  };
}

/** As many bytes of the key as fit, zeros, and the key's length, so that no key passes as the beginning of another. */
function writeKey(buffer: Buffer, headerText: string): Buffer {
  const length = buffer.length - lengthBytes;
  buffer.fill(0).write(headerText, 0, length, 'latin1');
  buffer.writeUInt32LE(headerText.length, length);
  return buffer;
}

/** Each character of a header is a byte, so a key's own characters arrive as their UTF-8. */
function asHeaderText(key: string): string {
  return Buffer.from(key, 'utf8').toString('latin1');
}
