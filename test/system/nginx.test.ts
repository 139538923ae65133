// deploy/nginx/nginx.conf with the real nginx.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { startBalancer } from '../support/balancer.ts';
import { testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService } from '../support/service.ts';
import { behindABalancer } from './behind-a-balancer.ts';

const packages = await ensureDebianPackages(['nginx']);

describe.skipIf(packages.missing)('behind nginx', () => {
  behindABalancer((receivers) =>
    startBalancer({
      program: packages.program('nginx'),
      args: (file, dir) => ['-p', dir, '-c', file, '-g', `daemon off; pid ${dir}/nginx.pid;`],
      configuration: 'nginx/nginx.conf',
      certificateFolder: '/etc/nginx/certs',
      receivers,
    }),
  );
});

test('nginx gives up idle connections before a receiver does, so none is closed under a callback', async () => {
  await using redis = await startRedis();
  await using service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url },
  });
  const answer = await fetch(`${service.url}/livez`);
  const receiverSeconds = Number(/timeout=(\d+)/.exec(answer.headers.get('keep-alive') ?? '')?.[1]);
  const file = path.join(import.meta.dirname, '..', '..', 'deploy', 'nginx', 'nginx.conf');
  const balancerSeconds = Number(/keepalive_timeout (\d+)s;/.exec(readFileSync(file, 'utf8'))?.[1]);
  expect(balancerSeconds).toBeGreaterThan(0);
  expect(receiverSeconds).toBeGreaterThan(balancerSeconds + 5);
});
