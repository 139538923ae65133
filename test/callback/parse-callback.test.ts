import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCallback, parseCallbackText } from '../../src/callback/parse-callback.ts';

const read = (body: string) => {
  const parsed = parseCallback(Buffer.from(body));
  return parsed.kind === 'callback' ? parsed.callback : parsed;
};

test('needs nothing but the reference', () => {
  expect(read('{"gatewayReference":"r"}')).toEqual({
    gatewayReference: 'r',
    merchantReference: null,
    status: null,
    type: null,
    finalAmount: null,
    body: '{"gatewayReference":"r"}',
  });
});

test('keeps the body byte for byte, including a byte order mark and unusual spacing', () => {
  const body = '\uFEFF { "gatewayReference" : "r" ,\r\n\t"finalAmount": { "value": 100.00, "currency": "KES" } } ';
  const parsed = parseCallback(Buffer.from(body));
  expect(parsed.kind === 'callback' && Buffer.from(parsed.callback.body).equals(Buffer.from(body))).toBe(true);
});

test('accepts unknown fields, unknown values and nulls', () => {
  const body =
    '{"gatewayReference":"r","status":"reversed","type":"loan","merchantReference":null,"finalAmount":null,"new":[1]}';
  expect(read(body)).toMatchObject({ status: 'reversed', type: 'loan', merchantReference: null, finalAmount: null });
});

test('reads fields of another type than expected as absent rather than refusing', () => {
  const body = '{"gatewayReference":"r","merchantReference":5,"type":{},"finalAmount":"much","status":7}';
  expect(read(body)).toMatchObject({ merchantReference: null, type: null, finalAmount: null, status: '7' });
});

test('treats an amount without a currency as absent', () => {
  expect(read('{"gatewayReference":"r","finalAmount":{"value":1,"currency":5}}')).toMatchObject({ finalAmount: null });
});

test('treats an amount that is not a decimal as absent', () => {
  const body = '{"gatewayReference":"r","finalAmount":{"value":"many","currency":"KES"}}';
  expect(read(body)).toMatchObject({ finalAmount: null });
});

test('treats a missing or null status as absent', () => {
  expect(read('{"gatewayReference":"r","status":null}')).toMatchObject({ status: null });
  expect(read('{"gatewayReference":"r"}')).toMatchObject({ status: null });
});

test('distinguishes amounts that are equal as doubles', () => {
  const of = (value: string) => read(`{"gatewayReference":"r","finalAmount":{"value":${value},"currency":"KES"}}`);
  expect(of('9007199254740993')).toMatchObject({ finalAmount: { value: '9007199254740993', currency: 'KES' } });
  expect(of('0.10000000000000000001')).toMatchObject({ finalAmount: { value: '0.10000000000000000001' } });
  expect(of('100.00')).toMatchObject({ finalAmount: { value: '100', currency: 'KES' } });
});

test.for([
  ['an empty body', ''],
  ['truncated JSON', '{"gatewayReference":"r"'],
  ['an array', '[{"gatewayReference":"r"}]'],
  ['a string', '"r"'],
  ['null', 'null'],
  ['a number', '1'],
])('refuses %s as not JSON', ([, body]) => {
  expect(parseCallback(Buffer.from(body ?? '')).kind).toBe('not-json');
});

test('refuses invalid UTF-8 as not JSON, since its bytes could not be kept in text', () => {
  const raw = Buffer.concat([Buffer.from('{"gatewayReference":"r'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
  expect(parseCallback(raw).kind).toBe('not-json');
});

test.for([
  ['missing', '{}'],
  ['null', '{"gatewayReference":null}'],
  ['empty', '{"gatewayReference":""}'],
  ['a number', '{"gatewayReference":5}'],
  ['an object', '{"gatewayReference":{}}'],
  ['256 characters long', `{"gatewayReference":"${'x'.repeat(256)}"}`],
  ['only inherited', '{"__proto__":{"gatewayReference":"r"}}'],
])('refuses a reference that is %s', ([, body]) => {
  expect(parseCallback(Buffer.from(body ?? '')).kind).toBe('bad-reference');
});

test.for([
  ['255 letters', 'x'.repeat(255)],
  ['255 two-byte letters', 'ж'.repeat(255)],
  ['255 emoji', '🙂'.repeat(255)],
  ['NUL and line breaks', 'a\u0000b\r\nc'],
  ['a lone surrogate', '\ud800'],
  ['separators', ':{}*/|,;'],
])('accepts a reference of %s', ([, reference]) => {
  expect(read(JSON.stringify({ gatewayReference: reference }))).toMatchObject({ gatewayReference: reference });
});

test('reads a body nested deeper than the stack', () => {
  const body = `{"gatewayReference":"r","n":1234567890123456789,"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  expect(read(body)).toMatchObject({ gatewayReference: 'r' });
});

test('never throws for any input', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseCallback(Buffer.from(bytes))));
  fc.assert(fc.property(fc.json(), (json) => void parseCallbackText(json)));
  fc.assert(
    fc.property(fc.record({ gatewayReference: fc.string({ minLength: 1, maxLength: 100 }) }), fc.object(), (a, b) => {
      expect(parseCallbackText(JSON.stringify({ ...b, ...a })).kind).toBe('callback');
    }),
  );
});

test('refuses a numeric reference, even if the body holds a long number', () => {
  for (const body of ['{"gatewayReference":12,"x":1234567890123456789}', '{"gatewayReference":12345678901234567890}']) {
    expect(parseCallbackText(body)).toMatchObject({
      kind: 'bad-reference',
      detail: 'gatewayReference is not a string.',
    });
  }
});

test('reads a body whose status nests too deep for JSON.stringify', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  expect(read(`{"gatewayReference":"r","status":${deep}}`)).toMatchObject({ gatewayReference: 'r', status: null });
  expect(read(`{"gatewayReference":"r","status":[1,{"a":null}]}`)).toMatchObject({ status: '[1,{"a":null}]' });
});

// The search for numbers once took 13 s on an unterminated string: vitest's timeout detects that.
test('refuses a truncated body full of escaped quotes without delay', { timeout: 3_000 }, () => {
  expect(parseCallbackText(`{"a":1234567890123456,"b":"${'\\"'.repeat(120_000)}`).kind).toBe('not-json');
});
