import { expect, test } from 'vitest';
import { parseJson, withoutByteOrderMark } from '../../src/callback/json-text.ts';

test('parses JSON, including null, and returns undefined for anything else', () => {
  expect([parseJson('{"a":1}'), parseJson('null'), parseJson('{'), parseJson('')]).toEqual([
    { a: 1 },
    null,
    undefined,
    undefined,
  ]);
});

test('removes one byte order mark at the beginning, and nothing else', () => {
  expect(withoutByteOrderMark('\uFEFF{}')).toBe('{}');
  expect(withoutByteOrderMark('{"a":"\uFEFF"}')).toBe('{"a":"\uFEFF"}');
});
