// Standard Webhooks as a merchant would check it in a few lines: HMAC-SHA256 over `id.timestamp.body`, base64, one `v1,...`
// per key, and a timestamp within five minutes.
import { createHmac, timingSafeEqual } from 'node:crypto';

const toleranceSeconds = 300;

export interface SignedDelivery {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
  readonly body: Buffer;
}

/** Whether one of the signatures was made over these bytes with one of the secrets (`whsec_` and base64). */
export function isSignedBy(secrets: readonly string[], delivery: SignedDelivery, nowMs: number): boolean {
  const { id, timestamp, signature, body } = delivery;
  if (!/^\d+$/.test(timestamp) || Math.abs(nowMs / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  const given = signature.split(' ').filter((part) => part.startsWith('v1,'));
  return secrets.some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
    return given.some((part) => {
      const actual = Buffer.from(part.slice('v1,'.length), 'base64');
      return actual.length === expected.length && timingSafeEqual(actual, expected);
    });
  });
}
