// A real Redis for one test file, and a connection to it.
import { Redis } from 'ioredis';
import { afterAll } from 'vitest';
import { startRedis, type TestRedisOptions } from './redis.ts';

/** Call it while the file loads. The server stops after the file's last test and its own hooks. */
export async function withRedis(options: TestRedisOptions = {}) {
  const server = await startRedis(options);
  let client: Redis | undefined;
  afterAll(async () => {
    client?.disconnect();
    await server.stop();
  });
  return {
    server,
    /** Connects on first use. */
    get redis(): Redis {
      return (client ??= new Redis(server.url));
    },
  };
}
