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

test('a job records what came, when and how, and omits fields that do not apply', () => {
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

test('a correction has the sequence after the state it is based on; with tracing on a job has its trace', () => {
  const replaces = { sequence: 2, status: 'failed', amount: '' };
  expect(toJobData(aCallback, { ...anOrigin, replaces, traceparent: '00-a-b-01' })).toMatchObject({
    sequence: 3,
    replaces,
    traceparent: '00-a-b-01',
  });
});

test('an amount that an earlier version queued as an object is still read; an invalid amount is refused', () => {
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
] as const)('a job whose %s is %j is not one of ours', ([field, value]) => {
  expect(jobSchema.safeParse({ ...job, [field]: value }).success).toBe(false);
});

test('the first sequence of a replaced job, and of a correction, is accepted', () => {
  const replaces = { sequence: 0, status: 'failed', amount: '' };
  expect(jobSchema.safeParse({ ...job, sequence: 1, replaces }).success).toBe(true);
});

test('only a job of a later version waits for its release', () => {
  expect([2, 3].map((version) => isOfLaterVersion({ version, more: {} }))).toEqual([true, true]);
  expect([1, 0, 2.5, '2'].some((version) => isOfLaterVersion({ version }))).toBe(false);
  expect([null, 'text', {}].some(isOfLaterVersion)).toBe(false);
});

test('the webhook-id of a job is derived from its own brand, result and sequence', () => {
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

test('moved to another brand, a job keeps unknown fields, and its webhook-id only on request', () => {
  const text = JSON.stringify({ ...job, later: true });
  const read = (moved: string): unknown => JSON.parse(moved);
  expect(read(toBrand(text, 'acme'))).toEqual({ ...job, later: true, brand: 'acme' });
  const kept = toBrand(text, 'acme', 'kept');
  expect(read(kept)).toEqual({ ...job, later: true, brand: 'acme', identityBrand: 'default' });
  expect(read(toBrand(kept, 'other', 'kept'))).toMatchObject({ brand: 'other', identityBrand: 'default' });
  expect(read(toBrand(kept, 'default', 'kept'))).toEqual({ ...job, later: true });
  expect(toBrand('{"no":"job"}', 'acme')).toBe('{"no":"job"}');
});

test('a nonce shows whether its job is of a former version, and ends the job id', () => {
  const [nonce, former] = [createNonce(), createNonce(true)];
  expect([nonce.length, former.length]).toEqual([9, 8]);
  expect([isFormerNonce(nonce), isFormerNonce(former)]).toEqual([false, true]);
  expect(new Set([nonce, former, createNonce(), createNonce()].map((text) => text.at(0)))).toEqual(new Set(['.']));
  expect(new Set(Array.from({ length: 1_000 }, () => createNonce())).size).toBe(1_000);
  expect(digestOfJob(jobIdOf('0123456789abcdef', nonce))).toBe('0123456789abcdef');
  expect(digestOfJob('no-dot')).toBe('');
});

test('the merchant’s own worker tries twelve times, with growing waits', () => {
  expect(jobOptions).toEqual({ attempts: 12, backoff: { type: 'exponential', delay: 5_000 } });
});

test('a body without text fields makes a job that can be parsed again', () => {
  const parsed = parseCallbackText('{"gatewayReference":"r"}');
  const callback = parsed.kind === 'callback' ? parsed.callback : aCallback;
  const bare = toJobData(callback, anOrigin);
  expect(jobSchema.parse(JSON.parse(JSON.stringify(bare)))).toEqual(bare);
  expect(bare).toMatchObject({ gatewayReference: 'r', status: null, type: null, merchantReference: null });
});
