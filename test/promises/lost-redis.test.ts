// A Redis whose disk is lost: reconciliation restores acknowledged callbacks from the gateway, with the same webhook-ids.
import { mkdir, rm } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { violations } from './auditor.ts';
import { startLoad } from '../support/load.ts';
import { settleAndAudit } from './run-promises.ts';
import { startWorld, type WorldOptions } from './world.ts';

test('reconciliation restores a lost Redis, under the same webhook-ids', { timeout: 180_000 }, async () => {
  const report = await replaceRedisByAnEmptyOne({ reconciles: true });
  expect(violations(report)).toEqual([]);
});

test('and without reconciliation the loss is detected', { timeout: 120_000 }, async () => {
  const report = await replaceRedisByAnEmptyOne({ reconciles: false });
  expect(violations(report)).toEqual([expect.stringMatching(/^\d+ acknowledged and lost: /)]);
});

async function replaceRedisByAnEmptyOne(options: WorldOptions) {
  await using world = await startWorld(options);
  const { redis, merchant, gateway, receivers } = world;
  const next = () => {
    const [transaction] = gateway.addTransactions({ count: 1, completedAfterMs: 0 });
    const reference = transaction?.gatewayReference ?? '';
    return { reference, body: gateway.bodyOf(reference) };
  };
  const load = startLoad({ targets: receivers.map(({ url }) => url), perSecond: 20, next });
  await until(() => load.acknowledged().length >= 20);
  await merchant.down(); // so that acknowledged callbacks are only in Redis
  await until(() => load.acknowledged().length >= 60);
  const endOutage = world.outage('redis');
  await redis.kill('SIGKILL');
  await rm(redis.dir, { recursive: true });
  await mkdir(redis.dir);
  await redis.restart();
  endOutage();
  await merchant.up();
  await load.stop();
  // Awaited here, because the world must outlive the audit.
  return await settleAndAudit(world, load, { settleMs: options.reconciles === true ? 90_000 : 5_000 });
}
