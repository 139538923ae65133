// Jobs whose data is not a callback (added by another program, or damaged): operators see them in the lists.
import { Queue, UnrecoverableError } from 'bullmq';
import { expect, test } from 'vitest';
import { createCallbackIndex } from '../../src/store/callbacks/callback-index.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks, type StoredCallbacks } from '../support/stored-callbacks.ts';

const { server } = await withRedis();

async function failNext(stored: StoredCallbacks): Promise<string> {
  const job = await stored.take();
  await job.moveToFailed(new UnrecoverableError("the job's data is no callback of version 1"), 'token', false);
  return job.id ?? '';
}

test('lists another program’s failed jobs among the callbacks, by when they were added', async () => {
  await using stored = createStoredCallbacks(server.url);
  const now = Date.now();
  const callbackIndex = createCallbackIndex(stored);
  const queue = new Queue(stored.queue.name, { connection: { url: server.url }, prefix: stored.queue.prefix });
  const older = await stored.store({ receivedAtMs: now - 60_000 });
  await stored.fail();
  await queue.add('callback', { hello: 'world' }, { timestamp: now - 30_000 });
  const jobId = await failNext(stored);
  await queue.close();
  const newer = await stored.store({ receivedAtMs: now });
  await stored.fail();
  const { data } = await callbackIndex.list({ state: 'failed', limit: 10 });
  expect(data).toMatchObject([
    { gatewayReference: newer },
    {
      gatewayReference: null,
      webhookId: null,
      jobId,
      state: 'failed',
      receivedAt: new Date(now - 30_000).toISOString(),
      failedReason: "the job's data is no callback of version 1",
    },
    { gatewayReference: older },
  ]);
});

test('lists one of our callbacks whose data is broken, with what the claim still shows', async () => {
  await using stored = createStoredCallbacks(server.url);
  const receivedAtMs = Date.now() - 5_000;
  await stored.store({ receivedAtMs });
  const [id = ''] = await stored.redis.lrange(`${stored.queue.base}:wait`, 0, 0);
  await stored.redis.hset(`${stored.queue.base}:${id}`, 'data', '{"hello":"world"}');
  const jobId = await failNext(stored);
  const broken = { jobId, gatewayReference: null, status: 'success', receivedAt: new Date(receivedAtMs).toISOString() };
  const callbackIndex = createCallbackIndex(stored);
  expect((await callbackIndex.list({ state: 'failed', limit: 10 })).data).toMatchObject([broken]);
  expect((await callbackIndex.list({ limit: 10 })).data).toMatchObject([broken]);
});

test('lists jobs with invalid times beside callbacks', async () => {
  await using stored = createStoredCallbacks(server.url);
  const callbackIndex = createCallbackIndex(stored);
  const queue = new Queue(stored.queue.name, { connection: { url: server.url }, prefix: stored.queue.prefix });
  const inNanoseconds = Date.now() * 1_000_000;
  const reference = await stored.store();
  await stored.deliver({ atMs: inNanoseconds }); // by a worker of the merchant's own
  await queue.add('callback', {}, { timestamp: inNanoseconds });
  const { id = '' } = await queue.add('callback', {});
  await stored.redis.hset(`${stored.queue.base}:${id}`, 'timestamp', 'yesterday');
  await queue.close();
  const finishedOn = await stored.redis.zrange(`${stored.queue.base}:completed`, '0', '0', 'WITHSCORES');
  expect((await callbackIndex.list({ state: 'delivered', limit: 10 })).data).toMatchObject([
    { gatewayReference: reference, deliveredAt: new Date(Number(finishedOn[1])).toISOString() },
  ]);
  expect((await callbackIndex.find(reference))?.callback).toMatchObject({ state: 'delivered', attempts: [] });
  const first = await callbackIndex.list({ state: 'queued', limit: 1 });
  const second = await callbackIndex.list({ state: 'queued', limit: 1, cursor: first.next ?? '' });
  const neverText = new Date(0).toISOString();
  expect([...first.data, ...second.data]).toMatchObject([
    { receivedAt: neverText },
    { receivedAt: neverText, jobId: id },
  ]);
  expect(second.next).toBeNull();
});
