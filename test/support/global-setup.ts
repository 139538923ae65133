// Makes sure of a Redis server once per run, so that `npx vitest run test/one.test.ts` works by itself too. The workers
// find it in their environment, which they inherit from the process that this runs in.
import path from 'node:path';
import { ensureRedisServer } from './redis-server.ts';

export async function setup(): Promise<void> {
  const { command, env } = await ensureRedisServer({ say: (text) => process.stderr.write(`${text}\n`) });
  // Hundreds of processes are started: each finds the sources stripped and compiled.
  process.env['NODE_COMPILE_CACHE'] ??= path.resolve('.tools/compile-cache');
  process.env['TEST_REDIS_SERVER'] = JSON.stringify({ command, env });
}
