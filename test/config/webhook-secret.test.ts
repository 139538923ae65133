// FORWARD_SECRET is refused at start if a merchant's library could not load it.
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { secretKey, sign } from '../../src/http/webhook-signature.ts';
import { loadConfig } from '../../src/config/config.ts';
import { isWebhookSecret } from '../../src/config/webhook-secret.ts';
import { testKey } from '../support/callbacks.ts';

const of = (bytes: number) => Buffer.alloc(bytes, 'secret').toString('base64');

/**
 * Go's `base64.StdEncoding` loads only the one with nonzero trailing bits, which strict decoders (Rust's) refuse; Python's
 * library refuses the impossible length. Node's loads them all.
 */
const refused = [
  ['without its padding', `whsec_${of(32).replace(/=+$/, '')}`],
  ['with half of its padding', `whsec_${of(31).replace(/=$/, '')}`],
  ['with excess padding', `whsec_${of(30)}=`],
  ['of an impossible length', `whsec_${of(30)}A`],
  ['with nonzero trailing bits', `whsec_${of(31).slice(0, -3)}R==`],
  ['in the alphabet of URLs', `whsec_${of(30).slice(0, -2)}-_`],
  ['with a space in it', `whsec_${of(15)} ${of(15)}`],
  ['of too few bytes', `whsec_${of(9)}`],
  ['that is empty', 'whsec_'],
  ['that is hexadecimal', `whsec_${Buffer.alloc(31, 'x').toString('hex')}`],
] as const;

test.each(refused)(
  'refuses a secret %s, in a sentence that says how to make one and does not repeat it',
  (_, secret) => {
    const loaded = loadConfig({ PAYALO_API_KEYS: testKey, FORWARD_URL: 'http://127.0.0.1:1', FORWARD_SECRET: secret });
    if (!('problems' in loaded)) throw new Error('was accepted');
    expect(loaded.problems).toHaveLength(1);
    expect(loaded.problems[0]).toMatch(/^FORWARD_SECRET: .*echo whsec_\$\(openssl rand -base64 32\)/);
    expect(loaded.problems[0]).not.toContain(secret.slice(6) || 'no secret');
  },
);

test.each([12, 16, 24, 30, 31, 32, 64])(
  'accepts %i bytes, and the reference library verifies what they sign',
  (bytes) => {
    const secret = `whsec_${of(bytes)}`;
    expect(isWebhookSecret(secret)).toBe(true);
    const body = '{"amount":100.00}';
    const timestampSeconds = Math.floor(Date.now() / 1_000);
    const signature = sign({ webhookId: 'msg_1', timestampSeconds, body }, [secretKey(secret)]);
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(timestampSeconds),
      'webhook-signature': signature,
    };
    expect(new Webhook(secret).verify(body, headers)).toEqual({ amount: 100 });
  },
);
