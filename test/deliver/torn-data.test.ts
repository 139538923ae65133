// A job whose data is not JSON, because a disk tore it, blocks no other job.
import { expect, test } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig } from './rig.ts';

const { server: redis } = await withRedis();

test('a job whose data is not JSON fails and keeps its data, and the next ones are delivered', async () => {
  await using rig = await createRig(redis);
  const torn = await rig.add();
  const key = rig.bull.toKey(torn.id ?? '');
  const data = '{"version":1,"brand":"\0\0\0';
  await rig.connection.hset(key, 'data', data);
  const jobs = [await rig.add(), await rig.add(), await rig.add()];
  await rig.start();
  for (const job of jobs) await rig.settled(job);
  await until(async () => (await torn.getState()) === 'failed', { describe: 'the torn job to fail' });
  expect(await rig.connection.hget(key, 'data')).toBe(data);
});
