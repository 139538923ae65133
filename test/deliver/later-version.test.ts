// After a rollback: jobs of a later release wait for it and block nothing else. After an upgrade: jobs of an earlier
// release are delivered.
import { expect, test } from 'vitest';
import { webhookIdOfJob } from '../../src/callback/job.ts';
import { createCallbackWorker } from '../../src/index.ts';
import { withRedis } from '../support/with-redis.ts';
import { createRig, jobData } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

const later = { ...jobData({ gatewayReference: 'later' }), version: 2, body: undefined, bodies: ['{}'] };

test('the built-in worker lets a job of a later version wait without spending attempts, and delivers the others', async () => {
  await using rig = await createRig(redis);
  const waiting = await rig.bull.add('callback', later, { jobId: 'later.x', attempts: 12 });
  const job = await rig.add();
  await rig.start();
  await rig.settled(job);
  const kept = await rig.settled(waiting, 'delayed');
  expect(kept).toMatchObject({ attemptsMade: 0, data: { version: 2, bodies: ['{}'] } });
  expect(rig.logs).toContainEqual(expect.objectContaining({ event: 'delivery.of_later_version', jobId: 'later.x' }));
});

test('createCallbackWorker does the same', async () => {
  await using rig = await createRig(redis);
  const waiting = await rig.bull.add('callback', later, { jobId: 'later.x', attempts: 12 });
  const job = await rig.add();
  const { name, prefix } = rig.queue;
  const worker = createCallbackWorker(() => {}, {
    connection: { url: redis.url },
    queueName: name,
    queuePrefix: prefix,
  });
  await rig.settled(job);
  expect(await rig.settled(waiting, 'delayed')).toMatchObject({ attemptsMade: 0, data: { version: 2 } });
  await worker.close();
});

test('a job whose amount is an object, as in former versions, is delivered under its id', async () => {
  await using rig = await createRig(redis);
  const text = jobData({ gatewayReference: 'once', finalAmount: '100 KES' });
  const job = await rig.bull.add('callback', { ...text, finalAmount: { value: '100', currency: 'KES' } });
  await rig.start();
  await rig.settled(job);
  expect(rig.merchant.deliveries()).toMatchObject([{ webhookId: webhookIdOfJob(text) }]);
});
