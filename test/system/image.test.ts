// The image as a container engine would build and run it; scripts/build-image.sh says how this differs from a real build.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { freePort } from '../support/private-redis.ts';
import { startRedis } from '../support/redis.ts';

const root = path.join(import.meta.dirname, '..', '..');
const canRun = process.platform === 'linux' && process.arch === 'x64' && process.getuid?.() === 0;
const packages = canRun ? await ensureDebianPackages(['buildah', 'curl']) : { missing: 'needs root on x64 Linux' };

describe.skipIf(packages.missing)('the image', () => {
  test(
    'builds reproducibly, runs read-only as uid 1000, takes the example callback and ends on SIGTERM',
    { timeout: 600_000 },
    async () => {
      await using redis = await startRedis();
      const env = { REDIS_URL: redis.url, PORT: String(await freePort()), OPS_PORT: String(await freePort()) };
      const build = spawn(path.join(root, 'scripts', 'build-image.sh'), {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [build.stdout, build.stderr]) {
        stream.on('data', (text: Buffer) => {
          output += text.toString();
        });
      }
      const [code] = await once(build, 'close');
      expect(output).toMatch(/passed\n$/);
      expect(code).toBe(0);
    },
  );
});

test('nothing but what the Dockerfile copies is sent to the build', () => {
  const lines = (file: string) => readFileSync(path.join(root, file), 'utf8').split('\n');
  const copied = lines('Dockerfile')
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from'))
    .flatMap((line) => line.split(' ').slice(1, -1));
  const admitted = lines('.dockerignore')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1));
  expect(lines('.dockerignore')).toContain('*');
  expect(admitted.filter((entry) => !copied.some((file) => file === entry || file.startsWith(`${entry}/`)))).toEqual(
    [],
  );
  expect(copied.filter((file) => !admitted.some((entry) => file === entry || file.startsWith(`${entry}/`)))).toEqual(
    [],
  );
});
