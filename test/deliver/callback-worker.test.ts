// Merchants who consume the queue themselves: with createCallbackWorker, or with a plain BullMQ worker.
import { Worker } from 'bullmq';
import { expect, test } from 'vitest';
import { createCallbackWorker, PermanentError, type HandledCallback } from '../../src/index.ts';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, terminalWebhookId } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

test('a bare stock Worker that throws twice succeeds the third time', async () => {
  await using rig = await createRig(redis);
  const job = await rig.add();
  let calls = 0;
  const { prefix, name } = rig.queue;
  const worker = new Worker(
    name,
    async () => {
      calls += 1;
      if (calls < 3) throw new Error('not yet');
      return 'done';
    },
    { connection: { url: redis.url }, prefix },
  );
  worker.on('error', () => undefined);
  // BullMQ's waits take seconds, so this promotes the jobs.
  for (const call of [1, 2]) {
    const delayed = await rig.settled(job, 'delayed');
    expect(calls).toBe(call);
    await delayed.promote();
  }
  const done = await rig.settled(job);
  expect(done).toMatchObject({ returnvalue: 'done', attemptsMade: 3 });
  await worker.close();
});

test('createCallbackWorker hands over callbacks, retries what throws, and fails a PermanentError at once', async () => {
  await using rig = await createRig(redis);
  const calls: HandledCallback[] = [];
  const worker = createCallbackWorker(
    (callback) => {
      calls.push(callback);
      if (callback.gatewayReference === 'hopeless') throw new PermanentError('no such order');
      if (callback.attempt === 1) throw new Error('not yet');
    },
    { connection: { url: redis.url }, queueName: rig.queue.name, queuePrefix: rig.queue.prefix },
  );
  const body = '{ "finalAmount": { "value": 100.00 } }';
  const [fine, hopeless, poisoned] = [
    await rig.add({ gatewayReference: 'fine', body }),
    await rig.add({ gatewayReference: 'hopeless' }),
    await rig.bull.add('callback', { nothing: 'of ours' }, { jobId: 'poisoned.y', attempts: 5 }),
  ];
  expect((await rig.settled(hopeless, 'failed')).failedReason).toBe('no such order');
  expect((await rig.settled(poisoned, 'failed')).failedReason).toContain('no callback of version 1');
  await (await rig.settled(fine, 'delayed')).promote();
  await rig.settled(fine);
  expect(calls.filter(({ gatewayReference }) => gatewayReference === 'fine')).toMatchObject([
    { attempt: 1, body, transaction: { finalAmount: { value: '100.00' } }, sequence: 0 },
    { attempt: 2, webhookId: terminalWebhookId('fine') },
  ]);
  expect(calls.filter(({ gatewayReference }) => gatewayReference === 'hopeless')).toHaveLength(1);
  expect(calls[0]?.signal).toBeInstanceOf(AbortSignal);
  await worker.close();
});

test('createCallbackWorker fails a job whose data is not JSON, once, and continues', async () => {
  await using rig = await createRig(redis);
  const [poison, fine] = [await rig.add(), await rig.add()];
  await rig.connection.hset(keysOf.job(rig.queue, poison.id ?? ''), 'data', 'no JSON {');
  const troubles: Error[] = [];
  const worker = createCallbackWorker(() => undefined, {
    connection: { url: redis.url },
    queueName: rig.queue.name,
    queuePrefix: rig.queue.prefix,
    onError: (error) => troubles.push(error),
  });
  await rig.settled(fine);
  await until(async () => (await poison.getState()) === 'failed', { describe: 'the poisoned job to be failed' });
  expect(troubles).toEqual([]);
  await worker.close();
});

test('its signal is aborted when an attempt takes too long', async () => {
  await using rig = await createRig(redis);
  let aborted = false;
  const worker = createCallbackWorker(
    async ({ signal }) =>
      new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve();
        }),
      ),
    { connection: { url: redis.url }, queueName: rig.queue.name, queuePrefix: rig.queue.prefix, timeoutMs: 50 },
  );
  await rig.settled(await rig.add());
  await until(() => aborted);
  await worker.close();
});
