// `npm start` as a supervisor sees it: one process to send a signal to, which passes it on and ends as the service ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, test } from 'vitest';
import { testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const root = path.dirname(path.dirname(import.meta.dirname));

test.for(['SIGTERM', 'SIGINT'] as const)('stops gracefully with 0 when only npm gets %s', async (signal) => {
  await using redis = await startRedis();
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    PAYALO_API_KEYS: testKey,
    REDIS_URL: redis.url,
    HOST: '127.0.0.1',
    PORT: '0',
    OPS_PORT: '0',
    SHUTDOWN_TIMEOUT: '3s',
    SPOOL_DIR: await makeTempDir('spool'),
  };
  const npm = spawn('npm', ['start', '--silent', '--', 'receive'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  npm.stdout.on('data', (data: Buffer) => (output += data.toString()));
  npm.stderr.on('data', (data: Buffer) => (output += data.toString()));
  const exited = once(npm, 'exit');
  await until(() => output.includes('service.started'), { timeoutMs: 20_000, describe: 'the service to start' });
  npm.kill(signal);
  expect(await exited).toEqual([0, null]);
  expect(output).toContain('service.stopped');
});
