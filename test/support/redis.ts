// A real Redis for one test or one file, in its own folder, ready when this resolves.
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { startPrivateRedis, type PrivateRedis } from './private-redis.ts';
import { makeTempDir } from './temp-dir.ts';

export interface TestRedisOptions {
  readonly port?: number;
  /** Default: a temporary folder, removed by `stop`. */
  readonly dir?: string;
  readonly args?: readonly string[];
  readonly durable?: boolean;
}

export type TestRedis = PrivateRedis & AsyncDisposable;

const serverSchema = z.object({ command: z.string(), env: z.record(z.string(), z.string()) });

export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const dir = options.dir ?? (await makeTempDir('redis'));
  const redis = await startPrivateRedis({ ...options, dir, server: redisServer() });
  const stop = async () => {
    await redis.stop();
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  return {
    url: redis.url,
    port: redis.port,
    dir,
    get pid() {
      return redis.pid;
    },
    kill: (signal) => redis.kill(signal),
    restart: () => redis.restart(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** The server that the global set-up found. Its folder also holds redis-cli, redis-sentinel and redis-benchmark. */
export function redisServer(): { command: string; env: Record<string, string> } {
  return serverSchema.parse(JSON.parse(process.env['TEST_REDIS_SERVER'] ?? 'null'));
}
