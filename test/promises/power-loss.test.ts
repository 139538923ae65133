// The power fails: every callback answered 200 is on the disk. A few cuts with a new seed, and two planted faults that
// must be detected. Hundreds of cuts: npm run test:promises -- --power-loss 300.
import { expect, test } from 'vitest';
import { makeTempDir } from '../support/temp-dir.ts';
import { violations } from './auditor.ts';
import { buildDiskLog } from './power/disk-log.ts';
import { runPowerLoss } from './power/power-loss.ts';

const library = buildDiskLog(await makeTempDir('disk-log')) ?? '';
const cannot = library === ''; // not Linux, or no C compiler
const seed = Math.floor(Math.random() * 1_000_000);
const lost = [expect.stringMatching(/^\d+ acknowledged and lost: /)];

test.skipIf(cannot)('nothing acknowledged is lost when the power fails', { timeout: 240_000 }, async () => {
  const { report } = await runPowerLoss({ cuts: 3, seed, library, delivers: false });
  expect(violations(report), `npm run test:promises -- --power-loss 3 --seed ${seed}`).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(report.unanswered).toBeGreaterThan(0);
});

test.skipIf(cannot).each(['everysec', 'unsynced spool'] as const)(
  'and a loss is detected: %s',
  { timeout: 120_000 },
  async (planted) => {
    const { report, unsyncedBytes } = await runPowerLoss({ cuts: 2, seed, library, planted, delivers: false });
    expect(violations(report), `seed ${seed}`).toEqual(expect.arrayContaining(lost)); // and perhaps torn jobs, given up
    expect(unsyncedBytes).toBeGreaterThan(0);
  },
);
