// Finds the brand of a key header. Node passes the header with one character per byte.
import { describe, expect, test } from 'vitest';
import { createApiKeys } from '../../src/receive/api-keys.ts';

const plainKey = 'sixteen-or-more-characters';
const headerOf = (key: string) => Buffer.from(key, 'utf8').toString('latin1');

describe('a key', () => {
  test.for([plainKey, 'schlüssel-für-brände', 'clé-de-la-marque-voilà', 'клавиша-магазина', `${'a'.repeat(500)}🔑`])(
    'is recognized by its UTF-8 bytes: %s',
    (key) => {
      const keys = createApiKeys(new Map([['acme', [key]]]));
      expect(keys.brandOf(headerOf(key))).toBe('acme');
      expect(keys.brandOf(` ${headerOf(key)}\t`)).toBe('acme');
      expect(keys.brandOf(`${headerOf(key)}, ${headerOf(key)}`)).toBe('acme');
      expect(keys.brandOf([headerOf(key), headerOf(key)])).toBe('acme');
      expect(keys.brandOf(`${headerOf(key)}x`)).toBeUndefined();
      expect(keys.brandOf(headerOf(key).slice(0, -1))).toBeUndefined();
      expect(keys.brandOf(`${headerOf(key)}\u0000`)).toBeUndefined();
    },
  );

  test.for([undefined, '', ' ', ',', ',,', `${plainKey},`, `,${plainKey}`, `${plainKey},other`])(
    'is not accepted: %j',
    (header) => {
      const keys = createApiKeys(new Map([['acme', [plainKey]]]));
      expect(keys.brandOf(header)).toBeUndefined();
    },
  );

  test('is distinguished from its own prefix, and from a key that begins with it, in any order', () => {
    const keys = createApiKeys(
      new Map([
        ['acme', [plainKey, `${plainKey}-and-more`]],
        ['beta', [`${plainKey}-and`]],
      ]),
    );
    const headers = [
      `${plainKey}-and-more`,
      plainKey,
      `${plainKey}-and`,
      `${plainKey}-`,
      `${plainKey}-and-more-still`,
      '',
    ];
    expect(headers.map((header) => keys.brandOf(header))).toEqual([
      'acme',
      'acme',
      'beta',
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('applies as soon as the keys are replaced, and the old one no longer', () => {
    const keys = createApiKeys(new Map([['acme', [plainKey]]]));
    keys.replace(new Map([['beta', ['another-key-of-sixteen']]]));
    expect(keys.brandOf(plainKey)).toBeUndefined();
    expect(keys.brandOf('another-key-of-sixteen')).toBe('beta');
  });
});
