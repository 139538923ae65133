// A webhook-id is never used for two results, and jobs of a former version keep their ids.
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createCallbackWorker } from '../../src/deliver/callback-worker.ts';
import { toDelivery } from '../../src/deliver/delivery-identity.ts';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { createNonce, isFormerNonce } from '../../src/callback/job.ts';
import { replay } from '../../src/store/lifecycle/replay.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createStoredCallbacks } from '../support/stored-callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, jobData } from './rig.ts';

const reference = 'b2p01j3abcdef0000000000000000a1b2';
/** The id that the previous version used for this reference's success or failure. */
const formerId = 'msg_bBYXG2MUZs98qqF8r3Ny5g';
const amount = '100 KES';

const { server: redis } = await withRedis({ durable: false });

test('a job of a former version keeps its id over retries and replays, whichever worker delivers it', async () => {
  await using rig = await createRig(redis);
  rig.merchant.next(answer(500));
  await rig.start();
  const job = await rig.add({ gatewayReference: reference });
  await rig.settled(job);
  await replay(rig.connection, rig.queue, job.id ?? '');
  await until(() => rig.merchant.deliveries().length === 3);
  expect(new Set(rig.merchant.deliveries().map(({ webhookId }) => webhookId))).toEqual(new Set([formerId]));

  await using other = await createRig(redis);
  const ids: string[] = [];
  const options = { connection: { url: redis.url }, queueName: other.queue.name, queuePrefix: other.queue.prefix };
  const worker = createCallbackWorker(({ webhookId }) => void ids.push(webhookId), options);
  await other.settled(await other.add({ gatewayReference: reference }));
  await worker.close();
  expect(ids).toEqual([formerId]);
});

test('jobs with another status or final amount have another id, even under the same sequence', () => {
  const jobs = [
    { status: 'failed', finalAmount: null },
    { status: 'failed', finalAmount: amount },
    { status: 'success', finalAmount: amount },
    { status: 'success', finalAmount: '90 KES' },
    { status: 'success', finalAmount: amount, sequence: 1 },
    {},
  ].map((fields) => jobData({ gatewayReference: reference, ...fields }));
  const ids = jobs.map((job) => toDelivery(job, 1).webhookId);
  expect(new Set(ids).size).toBe(jobs.length);
  expect(ids.at(-1)).toBe(formerId);
});

test('operators see the id that was delivered, even once only the claim is left', async () => {
  await using stored = createStoredCallbacks(redis.url);
  const callbackIndex = createCallbackIndex(stored);
  const gatewayReference = await stored.store({ status: 'failed', amount: '99.50' });
  const job = await stored.take();
  const { webhookId } = toDelivery(job.data, 1);
  expect((await callbackIndex.find(gatewayReference))?.callback.webhookId).toBe(webhookId);
  await job.moveToCompleted({ at: Date.now(), status: 200, ms: 12, attempt: 1 }, 'token', false);
  await stored.redis.del(`${stored.queue.base}:${job.id}`);
  expect((await callbackIndex.find(gatewayReference))?.callback).toMatchObject({ webhookId, body: null });
});

test('the claim of a job of a former version shows the former id', async () => {
  await using stored = createStoredCallbacks(redis.url);
  const redisClient = new Redis(redis.url);
  await stored.store({ reference });
  const [key = ''] = await redisClient.keys(`${stored.queue.base}/c:*`);
  const claim = (await redisClient.get(key)) ?? '';
  const [nonce = ''] = claim.split(',');
  expect(isFormerNonce(nonce)).toBe(false);
  expect(isFormerNonce(createNonce(true))).toBe(true);
  await redisClient.set(key, claim.replace(nonce, createNonce(true)), 'KEEPTTL');
  redisClient.disconnect();
  expect((await createCallbackIndex(stored).find(reference))?.callback.webhookId).toBe(formerId);
});
