// The auditor must detect a real loss: a spool that acknowledges before its fsync, then a power failure.
import { readdirSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { violations } from './auditor.ts';
import { startLoad } from '../support/load.ts';
import { settleAndAudit } from './run-promises.ts';
import { startWorld } from './world.ts';

test(
  'the auditor detects callbacks that were acknowledged before their fsync and lost',
  { timeout: 120_000 },
  async () => {
    await using world = await startWorld();
    const { redis, receivers, processes, spoolDir } = world;
    await redis.kill('SIGKILL');
    const load = startLoad({ targets: receivers.map(({ url }) => url), perSecond: 40 });
    await until(() => load.acknowledged().length >= 40, { timeoutMs: 20_000 });
    await load.stop();
    await Promise.all(processes.map((process) => process.kill()));
    // The last writes are gone, as if they had been only in the page cache when the power failed.
    for (const folder of readdirSync(spoolDir)) {
      const wal = path.join(spoolDir, folder, 'spool.db-wal');
      truncateSync(wal, Math.floor(statSync(wal).size / 2));
    }
    await redis.restart();
    await Promise.all(processes.map((process) => process.restart()));
    const report = await settleAndAudit(world, load, { settleMs: 5_000 });
    expect(report.lost.length).toBeGreaterThan(0);
    expect(report.delivered).toBeGreaterThan(0);
    expect(violations(report)).toEqual([expect.stringMatching(/^\d+ acknowledged and lost: /)]);
  },
);
