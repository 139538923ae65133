import { expect, test } from 'vitest';
import { createTrustedProxies } from '../../src/receive/trusted-proxies.ts';

test.for([
  [
    ['10.0.0.0/8', '::1'],
    ['10.1.2.3', '::ffff:10.1.2.3', '::1'],
    ['11.0.0.1', '::2', '', 'unknown', '10.1.2.3:80'],
  ],
  [
    ['::ffff:10.0.0.1', 'fd00::/8'],
    ['10.0.0.1', 'fd12::1'],
    ['10.0.0.2', 'fe80::1'],
  ],
  [['0.0.0.0/0'], ['1.2.3.4', '255.255.255.255'], ['unknown']],
  [[], [], ['127.0.0.1', '::1']],
] as const)('%j trusts %j and not %j', ([trusted, inside, outside]) => {
  const isTrusted = createTrustedProxies(trusted);
  expect(inside.filter((address) => !isTrusted(address))).toEqual([]);
  expect([...outside, undefined].filter((address) => isTrusted(address))).toEqual([]);
});
