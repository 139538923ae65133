import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf, kindOf, referenceDigest, webhookIdOf } from '../../src/callback/identity.ts';

test('gives success and failed one identity, every other status a separate one, and pending none', () => {
  expect(kindOf('success')).toBe(kindOf('failed'));
  expect(kindOf('reversed')).not.toBe(kindOf('success'));
  expect(kindOf('reversed')).not.toBe(kindOf('charged_back'));
  expect(kindOf(null)).not.toBe(kindOf('success'));
  expect(kindOf('pending')).toBeUndefined();
});

test('distinguishes different identities with any characters', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const identity = fc.record({ brand: text, gatewayReference: text, kind: text });
  fc.assert(
    fc.property(identity, identity, (a, b) => {
      const equal = JSON.stringify(a) === JSON.stringify(b);
      expect(digestOf(a) === digestOf(b)).toBe(equal);
      expect(webhookIdOf(a, 0) === webhookIdOf(b, 0)).toBe(equal);
      const result = { status: 'success', finalAmount: null };
      expect(webhookIdOf(a, 0, result) === webhookIdOf(b, 0, result)).toBe(equal);
    }),
  );
  const lone = (gatewayReference: string) => digestOf({ brand: 'a', gatewayReference, kind: 'terminal' });
  expect(lone('\ud800')).not.toBe(lone('\ud801'));
  expect(lone('\ud800')).not.toBe(lone('\ufffd'));
});

// A merchant's idempotency keys: a change here would deliver known callbacks under new ids after an upgrade.
test('derives the webhook-id that former versions derived', () => {
  const identity = { brand: 'default', gatewayReference: 'b2p01j3abcdef0000000000000000a1b2', kind: 'terminal' };
  expect(webhookIdOf(identity, 0)).toBe('msg_bBYXG2MUZs98qqF8r3Ny5g');
  expect(webhookIdOf(identity, 1)).not.toBe(webhookIdOf(identity, 0));
  expect(webhookIdOf(identity, 0)).toMatch(/^msg_[\w-]{22}$/);
});

test('derives a different webhook-id for each result and sequence, and never one of a former version', () => {
  const identity = { brand: 'default', gatewayReference: 'b2p01j3abcdef0000000000000000a1b2', kind: 'terminal' };
  const amounts = [
    null,
    { value: '100', currency: 'KES' },
    { value: '100', currency: 'TZS' },
    { value: '90', currency: 'KES' },
  ];
  const ids = ['success', 'failed', null].flatMap((status) =>
    amounts.flatMap((finalAmount) =>
      [0, 1].map((sequence) => webhookIdOf(identity, sequence, { status, finalAmount })),
    ),
  );
  const former = [0, 1].map((sequence) => webhookIdOf(identity, sequence));
  expect(new Set([...ids, ...former]).size).toBe(3 * 4 * 2 + 2);
  // Used since this version: like the former ids, it must never change.
  const finalAmount = { value: '100', currency: 'KES' };
  expect(webhookIdOf(identity, 0, { status: 'success', finalAmount })).toBe('msg_ZDM7Qxycbx2APwKl9casyA');
});

// Keys in Redis: a change here would forget every callback at an upgrade.
test('derives the keys that former versions derived', () => {
  const identity = { brand: 'default', gatewayReference: 'b2p01j3abcdef0000000000000000a1b2', kind: 'terminal' };
  expect(digestOf(identity)).toBe('fKWDR2pR09xQLh0e');
  expect(referenceDigest('default', 'gateway', 'a')).toBe('-90gkgWqz5Gx7fni');
  expect(referenceDigest('default', 'merchant', 'a')).toBe('kbwvNxzV5V9Qxh_h');
});
