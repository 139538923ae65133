import { expect, test } from 'vitest';
import {
  clientAddress,
  clientNetwork,
  createTrustedProxies,
  type ForwardedRequest,
} from '../../src/http/trusted-proxies.ts';

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

test.for([
  ['203.0.113.8', '203.0.113.8'],
  ['203.0.113.8:40000', '203.0.113.8'],
  [' 203.0.113.8:1 ', '203.0.113.8'],
  ['"203.0.113.8:40000"', '203.0.113.8'],
  ['::ffff:203.0.113.8', '203.0.113.8'],
  ['[::ffff:203.0.113.8]:9', '203.0.113.8'],
  ['::ffff:cb00:7108', '203.0.113.8'],
  ['2001:db8::1', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['[2001:db8::1]:443', '2001:db8::1'],
  ['"[2001:db8::1]:443"', '2001:db8::1'],
  ['2001:0DB8:0:0::0001', '2001:db8::1'],
  ['[2001:DB8::1]:44321', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['6.6.6.6, 203.0.113.8:40000', '203.0.113.8'],
  ['203.0.113.8:40000, 10.0.0.7', '203.0.113.8'],
  ['203.0.113.8:40000, 10.0.0.7:5555, [fd00::5]:80', '203.0.113.8'],
  [['6.6.6.6', '203.0.113.8:40000'], '203.0.113.8'],
  ['203.0.113.8, ', '203.0.113.8'],
  ['10.0.0.9:1, 10.0.0.8:2', '10.0.0.9'],
  // An invalid address is ignored: then the client is the proxy.
  ['unknown', '10.0.0.1'],
  ['_hidden:1', '10.0.0.1'],
  ['203.0.113.8.9:1', '10.0.0.1'],
  ['[junk]:1', '10.0.0.1'],
  ['', '10.0.0.1'],
  [undefined, '10.0.0.1'],
] as const)('a trusted proxy’s X-Forwarded-For %j names %s', ([forwarded, expected]) => {
  const isTrusted = createTrustedProxies(['10.0.0.0/8', 'fd00::/8']);
  expect(clientAddress(requestOf('10.0.0.1', forwarded), isTrusted)).toBe(expected);
  expect(clientAddress(requestOf('::ffff:10.0.0.1', forwarded), isTrusted)).toBe(expected);
});

test('X-Forwarded-For from any other address is ignored', () => {
  const isTrusted = createTrustedProxies(['10.0.0.0/8']);
  expect(clientAddress(requestOf('192.0.2.1', '203.0.113.8'), isTrusted)).toBe('192.0.2.1');
  expect(clientAddress(requestOf('10.0.0.1', '203.0.113.8'), createTrustedProxies([]))).toBe('10.0.0.1');
});

function requestOf(remoteAddress: string, forwarded: string | readonly string[] | undefined): ForwardedRequest {
  // Node joins repeated headers of this name; other servers would pass a list.
  const header = typeof forwarded === 'object' ? forwarded.join(', ') : forwarded;
  return { headers: header === undefined ? {} : { 'x-forwarded-for': header }, socket: { remoteAddress } };
}

test.each([
  ['203.0.113.8', '203.0.113.8'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
  ['2001:db8::6', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['2001:db8:1:2:3::', '2001:db8:1:2::/64'],
  ['', ''],
])('counts the failures of %s by %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network);
});
