import { expect, test } from 'vitest';
import { parseCallbackText } from '../../src/callback/parse-callback.ts';
import {
  amountOfJob,
  createNonce,
  digestOfJob,
  isFormerNonce,
  isOfLaterVersion,
  jobIdOf,
  jobOptions,
  jobSchema,
  toBrand,
  toJobData,
  webhookIdOfJob,
} from '../../src/callback/job.ts';
import { webhookIdOf } from '../../src/callback/identity.ts';
import { aCallback, anOrigin } from './job-of.ts';

const job = toJobData(aCallback, anOrigin);

test('a job says what came, when and how, and nothing that does not apply', () => {
  const { body, merchantReference, gatewayReference } = aCallback;
  expect(job).toEqual({
    version: 1,
    ...anOrigin,
    gatewayReference,
    merchantReference,
    body,
    status: 'success',
    type: 'payin',
    finalAmount: '100 KES',
  });
  expect(Object.keys(toJobData(aCallback, anOrigin, true))).not.toContain('finalAmount');
  expect(toJobData({ ...aCallback, finalAmount: null }, anOrigin).finalAmount).toBeNull();
});

test('a correction says its sequence, one above what it was judged by; with tracing on a job says its trace', () => {
  const replaces = { sequence: 2, status: 'failed', amount: '' };
  expect(toJobData(aCallback, { ...anOrigin, replaces, traceparent: '00-a-b-01' })).toMatchObject({
    sequence: 3,
    replaces,
    traceparent: '00-a-b-01',
  });
});

test('an amount that an earlier version queued as an object is read as ever; what is no amount is refused', () => {
  const read = (finalAmount: unknown) => jobSchema.safeParse({ ...job, finalAmount }).data?.finalAmount;
  expect(read({ value: '100', currency: 'KES' })).toBe('100 KES');
  expect(read(null)).toBeNull();
  expect(jobSchema.safeParse({ ...job, finalAmount: { value: 100 } }).success).toBe(false);
  expect(amountOfJob(job)).toEqual({ value: '100', currency: 'KES' });
  expect([amountOfJob({ finalAmount: null }), amountOfJob({})]).toEqual([null, null]);
});

test.for([
  ['sequence', 0],
  ['replaces', { sequence: -1, status: 'failed', amount: '' }],
  ['version', 2],
] as const)('a job whose %s is %j is none of ours', ([field, value]) => {
  expect(jobSchema.safeParse({ ...job, [field]: value }).success).toBe(false);
});

test('the first sequence of what a correction replaces, and of corrections, is taken', () => {
  const replaces = { sequence: 0, status: 'failed', amount: '' };
  expect(jobSchema.safeParse({ ...job, sequence: 1, replaces }).success).toBe(true);
});

test('only a later version is one that waits for its release', () => {
  expect([2, 3].map((version) => isOfLaterVersion({ version, more: {} }))).toEqual([true, true]);
  expect([1, 0, 2.5, '2'].some((version) => isOfLaterVersion({ version }))).toBe(false);
  expect([null, 'text', {}].some(isOfLaterVersion)).toBe(false);
});

test('the webhook-id of a job is made of its own brand, result and sequence', () => {
  const { gatewayReference } = aCallback;
  const identity = { brand: 'default', gatewayReference, kind: 'terminal' };
  const result = { status: 'success', finalAmount: aCallback.finalAmount };
  expect(webhookIdOfJob(job)).toBe(webhookIdOf(identity, 0, result));
  expect(webhookIdOfJob({ ...job, sequence: 2 })).toBe(webhookIdOf(identity, 2, result));
  expect(webhookIdOfJob({ ...job, brand: 'acme', identityBrand: 'default' })).toBe(webhookIdOf(identity, 0, result));
  expect(webhookIdOfJob({ ...job, finalAmount: undefined })).toBe(webhookIdOf(identity, 0));
  const pending = { ...identity, kind: 'status:pending' };
  expect(webhookIdOfJob({ ...job, status: 'pending' })).toBe(webhookIdOf(pending, 0, { ...result, status: 'pending' }));
});

test('under another brand a job keeps what it does not know, and its webhook-id only where that is asked for', () => {
  const text = JSON.stringify({ ...job, later: true });
  const read = (moved: string): unknown => JSON.parse(moved);
  expect(read(toBrand(text, 'acme'))).toEqual({ ...job, later: true, brand: 'acme' });
  const kept = toBrand(text, 'acme', 'kept');
  expect(read(kept)).toEqual({ ...job, later: true, brand: 'acme', identityBrand: 'default' });
  expect(read(toBrand(kept, 'other', 'kept'))).toMatchObject({ brand: 'other', identityBrand: 'default' });
  expect(read(toBrand(kept, 'default', 'kept'))).toEqual({ ...job, later: true });
  expect(toBrand('{"no":"job"}', 'acme')).toBe('{"no":"job"}');
});

test('a nonce tells whether its job is of a former version, and a job id ends with it', () => {
  const [nonce, former] = [createNonce(), createNonce(true)];
  expect([nonce.length, former.length]).toEqual([9, 8]);
  expect([isFormerNonce(nonce), isFormerNonce(former)]).toEqual([false, true]);
  expect(new Set([nonce, former, createNonce(), createNonce()].map((text) => text.at(0)))).toEqual(new Set(['.']));
  expect(new Set(Array.from({ length: 1_000 }, () => createNonce())).size).toBe(1_000);
  expect(digestOfJob(jobIdOf('0123456789abcdef', nonce))).toBe('0123456789abcdef');
  expect(digestOfJob('no-dot')).toBe('');
});

test('a worker of the merchant’s own tries twelve times, ever more slowly', () => {
  expect(jobOptions).toEqual({ attempts: 12, backoff: { type: 'exponential', delay: 5_000 } });
});

test('a body without text for its fields makes a job that can be read again', () => {
  const parsed = parseCallbackText('{"gatewayReference":"r"}');
  const callback = parsed.kind === 'callback' ? parsed.callback : aCallback;
  const bare = toJobData(callback, anOrigin);
  expect(jobSchema.parse(JSON.parse(JSON.stringify(bare)))).toEqual(bare);
  expect(bare).toMatchObject({ gatewayReference: 'r', status: null, type: null, merchantReference: null });
});
