// deploy/haproxy/haproxy.cfg with the real HAProxy.
import { describe } from 'vitest';
import { ensureDebianPackages } from '../support/debian-packages.ts';
import { startBalancer } from '../support/balancer.ts';
import { behindABalancer } from './behind-a-balancer.ts';

const packages = await ensureDebianPackages(['haproxy']);

describe.skipIf(packages.missing)('behind HAProxy', () => {
  behindABalancer((receivers) =>
    startBalancer({
      program: packages.program('haproxy'),
      args: (file) => ['-db', '-f', file],
      configuration: 'haproxy/haproxy.cfg',
      certificateFolder: '/etc/haproxy/certs',
      receivers,
    }),
  );
});
