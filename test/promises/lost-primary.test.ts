// A partition between the primary and its replica; then the primary is lost with its disk, and the replica takes over.
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { violations } from './auditor.ts';
import { startLoad } from '../support/load.ts';
import { settleAndAudit } from './run-promises.ts';
import { startWorld } from './world.ts';

test('with REDIS_WAIT_REPLICAS=1 a partition and a lost primary lose nothing', { timeout: 180_000 }, async () => {
  expect(violations(await loseThePrimary({ waitReplicas: 1 }))).toEqual([]);
});

test('and without it the loss is detected', { timeout: 120_000 }, async () => {
  expect(violations(await loseThePrimary({ waitReplicas: 0, settleMs: 5_000 }))).toEqual([
    expect.stringMatching(/^\d+ acknowledged and lost: /),
  ]);
});

async function loseThePrimary({ waitReplicas, settleMs = 90_000 }: { waitReplicas: number; settleMs?: number }) {
  await using world = await startWorld({ replica: { waitReplicas } });
  const { redis, redisProxy, replica, merchant, receivers } = world;
  if (replica === undefined) throw new Error('The world has no replica.');
  await merchant.down(); // so that acknowledged callbacks are only in Redis
  const load = startLoad({ targets: receivers.map(({ url }) => url), perSecond: 20 });
  await until(() => load.acknowledged().length >= 20);
  replica.link.set({ kind: 'stall' });
  const before = load.acknowledged().length;
  await until(() => load.acknowledged().length >= before + 80, { timeoutMs: 60_000 });
  const endOutage = world.outage('redis');
  await redis.kill('SIGKILL');
  replica.link.cut();
  await replica.promote();
  redisProxy.retarget(replica.server.port);
  redisProxy.cut();
  endOutage();
  await merchant.up();
  await load.stop();
  return await settleAndAudit(world, load, { settleMs });
}
