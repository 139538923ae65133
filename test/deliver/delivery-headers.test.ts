import { validateHeaderValue } from 'node:http';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { configuredHeaders, encodeHeaderText, secretKey, sign } from '../../src/deliver/delivery-headers.ts';

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

test('credentials of the URL give way to a configured Authorization; what would break a request is left out', () => {
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
