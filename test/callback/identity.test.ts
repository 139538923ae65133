import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf, kindOf, webhookIdOf } from '../../src/callback/identity.ts';

test('makes success and failed one identity, every other status one of its own, and pending none', () => {
  expect(kindOf('success')).toBe(kindOf('failed'));
  expect(kindOf('reversed')).not.toBe(kindOf('success'));
  expect(kindOf('reversed')).not.toBe(kindOf('charged_back'));
  expect(kindOf(null)).not.toBe(kindOf('success'));
  expect(kindOf('pending')).toBeUndefined();
});

test('keeps different identities apart, whatever characters they hold', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const identity = fc.record({ brand: text, gatewayReference: text, kind: text });
  fc.assert(
    fc.property(identity, identity, (a, b) => {
      const equal = JSON.stringify(a) === JSON.stringify(b);
      expect(digestOf(a) === digestOf(b)).toBe(equal);
      expect(webhookIdOf(a, 0) === webhookIdOf(b, 0)).toBe(equal);
    }),
  );
  const lone = (gatewayReference: string) => digestOf({ brand: 'a', gatewayReference, kind: 'terminal' });
  expect(lone('\ud800')).not.toBe(lone('\ud801'));
  expect(lone('\ud800')).not.toBe(lone('\ufffd'));
});

// A merchant's idempotency keys: a change here would deliver remembered callbacks under new ids after an upgrade.
test('derives the webhook-id that former versions derived', () => {
  const identity = { brand: 'default', gatewayReference: 'b2p01j3abcdef0000000000000000a1b2', kind: 'terminal' };
  expect(webhookIdOf(identity, 0)).toBe('msg_bBYXG2MUZs98qqF8r3Ny5g');
  expect(webhookIdOf(identity, 1)).not.toBe(webhookIdOf(identity, 0));
  expect(webhookIdOf(identity, 0)).toMatch(/^msg_[\w-]{22}$/);
});
