// A worker that dies repeatedly while it delivers a callback.
import { expect, test } from 'vitest';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { until } from '../support/until.ts';
import { violations } from './auditor.ts';
import { startLoad } from '../support/load.ts';
import { settleAndAudit } from './run-promises.ts';
import { startWorld } from './world.ts';

const kills = 5;
const queue = '{payalo}:payalo-callbacks';

test(
  'a worker killed five times on one callback leads to another delivery, never to failed',
  {
    timeout: 180_000,
  },
  async () => {
    await using world = await startWorld();
    const { merchant, workers, receivers, admin } = world;
    const [worker, other] = workers;
    await other?.kill();
    merchant.always({ kind: 'hang' });
    const load = startLoad({ targets: receivers.map(({ url }) => url), perSecond: 1 });
    await until(() => load.answers.length > 0);
    await load.stop();
    const reference = load.answers[0]?.reference ?? '';
    for (let kill = 1; kill <= kills; kill += 1) {
      await until(() => merchant.deliveriesOf(reference).length >= kill, { timeoutMs: 40_000 });
      await worker?.kill();
      // Simulates about twenty seconds: the lock expires, and the first check for stalled jobs marks this one.
      for (const key of await admin.keys('*:lock')) await admin.del(key);
      await admin.sadd(`${queue}:stalled`, ...(await admin.lrange(`${queue}:active`, 0, -1)));
      await admin.del(`${queue}:stalled-check`);
      if (kill === kills) merchant.always(answer(200));
      await worker?.restart();
    }
    const report = await settleAndAudit(world, load);
    expect(violations(report)).toEqual([]);
    expect(report.delivered).toBe(load.answers.length);
    expect(merchant.deliveriesOf(reference).length).toBeGreaterThan(kills);
  },
);
