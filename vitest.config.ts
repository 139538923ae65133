// The tests, in two parts: those that need Node and a Redis only, and (`--mode system`) those with other real programs.
// Each test file is a process of its own. More at a time than there are processors: they wait for other processes most of
// the time, and none of them asserts on speed.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig(({ mode }) => ({
  test: {
    include: mode === 'system' ? ['test/system/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: mode === 'system' ? [] : ['test/system/**'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    maxWorkers: Math.min(8, Math.max(4, 2 * availableParallelism())),
    testTimeout: mode === 'system' ? 120_000 : 30_000,
    hookTimeout: mode === 'system' ? 300_000 : 60_000,
  },
}));
