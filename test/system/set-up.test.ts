// The set-up that a newcomer's first command does, with the real package tools of the distribution.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { startPrivateRedis } from '../support/private-redis.ts';
import { ensureRedisServer } from '../support/redis-server.ts';
import { canUnpackDebianPackages } from '../support/unpack-debian-packages.ts';
import { makeTempDir } from '../support/temp-dir.ts';

describe.skipIf(!canUnpackDebianPackages())('on Debian and Ubuntu, without a Redis on the PATH', () => {
  test('two commands at once unpack one privately, and both can start it; a later one takes no step', async () => {
    const home = path.join(await makeTempDir('set-up'), 'redis');
    const messages: string[] = [];
    const ensure = () =>
      ensureRedisServer({ say: (text) => void messages.push(text), searchPath: '', home, debian: true });
    const servers = await Promise.all([ensure(), ensure()]);
    for (const server of servers) {
      const redis = await startPrivateRedis({ server, dir: await makeTempDir('redis') });
      await redis.stop();
    }
    expect(messages.length).toBeGreaterThan(0);
    messages.length = 0;
    const { command, env } = await ensure();
    expect(messages).toEqual([]);
    const runs = (name: string) =>
      spawnSync(path.join(path.dirname(command), name), ['--version'], { env: { ...process.env, ...env } }).status ===
      0;
    expect(['redis-cli', 'redis-sentinel', 'redis-benchmark'].filter((name) => !runs(name))).toEqual([]);
  });
});
