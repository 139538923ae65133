// The tests, in three parts: `unit` (no server, no process: in threads, without isolation), `service` (Node and a Redis;
// each file is a process of its own), and with `--mode system` those with other real programs.
//
// More `service` files at a time than there are processors: they wait for other processes most of the time, and none of
// them asserts on speed.
import { availableParallelism } from 'node:os';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';
import { unitTests } from './test/support/unit-tests.ts';

const units = unitTests();
/** Minutes of waiting: started first, so that the others run beside them. */
const longest = [
  'test/system/image',
  'test/promises/',
  'test/reconcile/whole-service',
  'test/intake/deadline',
  'test/cli/',
  'test/intake/',
];

function rank({ moduleId }: TestSpecification): number {
  const at = longest.findIndex((name) => moduleId.includes(name));
  return at < 0 ? longest.length : at;
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

const globalSetup = ['test/support/global-setup.ts'];

export default defineConfig(({ mode }) => ({
  test: {
    sequence: { sequencer: LongestFirst },
    maxWorkers: Math.min(8, Math.max(4, 2 * availableParallelism())),
    projects:
      mode === 'system'
        ? [
            {
              test: {
                name: 'system',
                include: ['test/system/**/*.test.ts'],
                globalSetup,
                pool: 'forks',
                testTimeout: 120_000,
                hookTimeout: 300_000,
              },
            },
          ]
        : [
            { test: { name: 'unit', include: units, pool: 'threads', isolate: false, testTimeout: 30_000 } },
            {
              test: {
                name: 'service',
                include: ['test/**/*.test.ts'],
                exclude: ['test/system/**', ...units],
                globalSetup,
                pool: 'forks',
                testTimeout: 30_000,
                hookTimeout: 60_000,
              },
            },
          ],
  },
}));
