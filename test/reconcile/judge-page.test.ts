import { expect, test } from 'vitest';
import { classifyPage } from '../../src/reconcile/sweep/classify-page.ts';
import { parseTransaction } from '../../src/reconcile/gateway/transaction.ts';
import { callbackBody } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig } from './reconcile-rig.ts';

const { server: redis } = await withRedis();

const nowText = () => new Date().toISOString();
const transactionOf = (body: string) => {
  const transaction = parseTransaction(body.replace(/"createdAt": +"[^"]*"/, `"createdAt": "${nowText()}"`));
  if (transaction === undefined) throw new Error('no transaction');
  return transaction;
};

test('without a completion time, RECONCILE_GRACE counts from when it was first seen ended', async () => {
  await using rig = await createRig({ redisUrl: redis.url, environment: { RECONCILE_GRACE: '5m' } });
  const undated = transactionOf(callbackBody().replace(/"completedAt": "[^"]*"/, '"completedAt": null'));
  const classification = async () => (await classifyPage(rig.scope, [undated]))[0]?.classification;
  expect(await classification()).toBe('early');
  rig.clock.advance(240_000);
  expect(await classification()).toBe('early');
  rig.clock.advance(60_001);
  expect(await classification()).toBe('missing');
});

test('an amount that only one side names contradicts nothing, nor does another decimal of the same value', async () => {
  await using rig = await createRig({ redisUrl: redis.url });
  const reference = 'b2pamounts';
  await rig.receive(callbackBody({ reference, amount: '100.00' }));
  const classification = async (body: string) =>
    (await classifyPage(rig.scope, [transactionOf(body)]))[0]?.classification;
  expect(await classification(callbackBody({ reference, amount: '1e2' }))).toBe('known');
  expect(await classification(callbackBody({ reference }).replace(/"finalAmount":.*/, '"finalAmount": null,'))).toBe(
    'known',
  );
  expect(await classification(callbackBody({ reference, amount: '100.01' }))).toBe('differs');
  expect(await classification(callbackBody({ reference, status: 'failed' }))).toBe('differs');
});
