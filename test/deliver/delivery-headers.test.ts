import { validateHeaderValue } from 'node:http';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { configuredHeaders, encodeHeaderText } from '../../src/deliver/http/delivery-headers.ts';
import { secretKey, sign } from '../../src/http/webhook-signature.ts';
import { attemptAt } from './attempt-at.ts';
import { startHttp2Merchant } from './http2-merchant.ts';

const anyText = fc.string({ unit: 'binary' });

test('any text becomes a valid header value that decodeURIComponent gives back', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const encoded = encodeHeaderText(text);
      expect(() => validateHeaderValue('x', encoded)).not.toThrow();
      expect(encoded).toBe(encoded.trim());
      expect(decodeURIComponent(encoded)).toBe(text.toWellFormed());
    }),
  );
});

test('a plain reference is sent as it is', () => {
  expect(encodeHeaderText('b2p01j3abcdef0000000000000000a1b2-_.~!*')).toBe('b2p01j3abcdef0000000000000000a1b2-_.~!*');
});

test('signs any body so that the standardwebhooks library verifies it', () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const timestampSeconds = Math.floor(Date.now() / 1_000);
  fc.assert(
    fc.property(fc.json(), (body) => {
      const signature = sign({ webhookId: 'msg_1', timestampSeconds, body }, [secretKey(secret)]);
      const headers = {
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(timestampSeconds),
        'webhook-signature': signature,
      };
      expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body));
    }),
  );
});

test('a configured Authorization replaces the URL’s credentials; headers that would break a request are omitted', () => {
  const url = new URL('https://us%40er:100%25@shop.test/');
  expect(configuredHeaders(url, {})).toEqual({
    authorization: `Basic ${Buffer.from('us@er:100%').toString('base64')}`,
  });
  expect(configuredHeaders(url, { Authorization: 'Bearer t', 'Content-Length': '5', 'X-A': 'b' })).toEqual({
    authorization: 'Bearer t',
    'x-a': 'b',
  });
  expect(configuredHeaders(new URL('https://shop.test/'), {})).toEqual({});
});

test.for([
  ['Proxy-Connection', 'keep-alive'],
  ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
  ['Connection', 'close'],
  ['UPGRADE', 'h2c'],
  ['Keep-Alive', 'timeout=5'],
  ['transfer-encoding', 'chunked'],
  ['Te', 'gzip'],
  ['Trailer', 'x-checksum'],
  ['Expect', '100-continue'],
  ['Proxy-Authorization', 'Basic eDp5'],
  ['hOsT', 'elsewhere.test'],
  ['Content-Length', '7'],
  ['X-Spaced', '  a value with spaces around it '],
] as const)('a configured %s does not fail a delivery over HTTP/2', async ([name, value]) => {
  let received: Record<string, unknown> = {};
  await using merchant = await startHttp2Merchant((stream, headers) => {
    received = headers;
    stream.respond({ ':status': 200 });
    stream.end();
  });
  const forwardHeaders = { [name]: value, 'X-Shop': 'mine' };
  const http = attemptAt(merchant.url, { brand: { forwardSecrets: [], forwardHeaders } });
  expect(await http.attempt()).toMatchObject({ kind: 'answered', status: 200 });
  expect(received['x-shop']).toBe('mine');
  expect(received[name.toLowerCase()]).not.toBe(value);
  await http.close();
});
