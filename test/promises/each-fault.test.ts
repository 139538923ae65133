// The product's promises under faults, with real processes: the short version. The long one: npm run test:promises.
import { expect, test } from 'vitest';
import { runPromises } from './run-promises.ts';

test(
  'nothing acknowledged is lost, duplicated or late while each fault occurs once',
  { timeout: 240_000 },
  async () => {
    const seed = Math.floor(Math.random() * 1_000_000);
    const result = await runPromises({ seed, perSecond: 40, say: () => {} });
    expect(result.violations, `npm run test:promises -- --seed ${seed} --rate 40`).toEqual([]);
    expect(result.report.acknowledged).toBeGreaterThan(result.report.callbacks / 2);
    // A fault during which nothing happens proves nothing.
    expect(result.report.unanswered).toBeGreaterThan(0);
  },
);
