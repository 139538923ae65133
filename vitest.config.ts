// The tests, in two parts: those that need Node and a Redis only, and (`--mode system`) those with other real programs.
// Each test file is a process of its own. Two at a time: most of the work is done by their children.
import { defineConfig } from 'vitest/config';

export default defineConfig(({ mode }) => ({
  test: {
    include: mode === 'system' ? ['test/system/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: mode === 'system' ? [] : ['test/system/**'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: mode === 'system' ? 120_000 : 30_000,
    hookTimeout: mode === 'system' ? 300_000 : 60_000,
  },
}));
