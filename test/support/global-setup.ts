// Finds or installs a Redis server once per run, so that `npx vitest run test/one.test.ts` works alone. The workers
// inherit its path through the environment of this process.
import path from 'node:path';
import { ensureRedisServer } from './redis-server.ts';

export async function setup(): Promise<void> {
  const { command, env } = await ensureRedisServer({ say: (text) => process.stderr.write(`${text}\n`) });
  // The tests start hundreds of processes: a compile cache saves each of them the type stripping.
  process.env['NODE_COMPILE_CACHE'] ??= path.resolve('.tools/compile-cache');
  process.env['TEST_REDIS_SERVER'] = JSON.stringify({ command, env });
}
