// Which proxy is used for a URL.
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { proxyFor } from '../../src/config/proxy.ts';

const both = { HTTP_PROXY: 'http://proxy.corp:3128', HTTPS_PROXY: 'http://secure.corp:3129' };

test('HTTP_PROXY is for http and HTTPS_PROXY for https, and neither for the other', () => {
  expect(proxyFor('http://shop.test/', both)).toBe('http://proxy.corp:3128');
  expect(proxyFor('https://shop.test/', both)).toBe('http://secure.corp:3129');
  expect(proxyFor('https://shop.test/', { HTTP_PROXY: both.HTTP_PROXY })).toBeUndefined();
  expect(proxyFor('http://shop.test/', { HTTPS_PROXY: both.HTTPS_PROXY })).toBeUndefined();
});

test.for([
  ['shop.test', 'shop.test', true],
  ['shop.test', 'pay.shop.test', true],
  ['shop.test', 'workshop.test', false],
  ['.shop.test', 'shop.test', true],
  ['.shop.test', 'pay.shop.test', true],
  ['*.shop.test', 'pay.shop.test', true],
  ['*.shop.test', 'shop.test', false],
  ['SHOP.Test', 'shop.test', true],
  ['shop.test.', 'shop.test', true],
  ['shop.test', 'shop.test.', true],
  ['*', 'anything.test', true],
  [' , a.test ,shop.test', 'shop.test', true],
  ['a.test shop.test', 'shop.test', true],
  ['shop.test:8080', 'shop.test:8080', true],
  ['shop.test:8080', 'shop.test', false],
  ['shop.test:80', 'shop.test', true],
  ['*:8080', 'shop.test:8080', true],
  ['10.0.0.0/8', '10.1.2.3', true],
  ['10.0.0.0/8', '11.1.2.3', false],
  ['10.0.0.0/33', '10.1.2.3', false],
  ['10.1.2.3', '10.1.2.3', true],
  ['10.1.2.3', '10.1.2.30', false],
  ['[fd00::1]', '[fd00::1]', true],
  ['[fd00::1]:8080', '[fd00::1]:8080', true],
  ['[fd00::1]:8080', '[fd00::1]', false],
  ['fd00::/8', '[fd12::1]', true],
  ['fd00::/8', '10.1.2.3', false],
  ['.svc,.cluster.local', 'merchant.shop.svc', true],
  ['', 'shop.test', false],
  ['.', 'shop.test', false],
] as const)('NO_PROXY=%s exempts %s: %s', ([NO_PROXY, host, isExempt]) => {
  expect(proxyFor(`http://${host}/x`, { ...both, NO_PROXY }) === undefined).toBe(isExempt);
});

test.for(['localhost:8080', '127.0.0.1', '127.8.8.8', '[::1]:8080', 'app.localhost'])(
  'a destination on this machine (%s) is called through a proxy on this machine only',
  (host) => {
    expect(proxyFor(`http://${host}/`, both)).toBeUndefined();
    expect(proxyFor(`http://${host}/`, { HTTP_PROXY: 'http://localhost:3128' })).toBe('http://localhost:3128');
    expect(proxyFor(`http://${host}/`, { HTTP_PROXY: 'http://127.0.0.1:3128', NO_PROXY: '*' })).toBeUndefined();
  },
);

const key = { PAYALO_API_KEYS: 'a-key-of-16-characters' };

test('the variables are known in lower case, too, which wins; without a scheme they mean http', () => {
  const loaded = loadConfig({
    ...key,
    http_proxy: 'lower.corp:3128',
    HTTP_PROXY: 'http://upper.corp:1',
    HTTPS_PROXY: 'https://user:pass@secure.corp',
    no_proxy: '.svc',
  });
  expect('config' in loaded && proxyFor('http://shop.test/', loaded.config)).toBe('http://lower.corp:3128/');
  expect('config' in loaded && proxyFor('https://shop.test/', loaded.config)).toBe('https://user:pass@secure.corp/');
  expect('config' in loaded && proxyFor('https://shop.svc/', loaded.config)).toBeUndefined();
});

test.for(['socks5://user:secret-word@proxy:1080', 'ftp://proxy', 'http://'])(
  'an invalid proxy (%s) is refused at the start, without repeating it',
  (HTTPS_PROXY) => {
    const loaded = loadConfig({ ...key, HTTPS_PROXY });
    expect(loaded).toEqual({
      problems: ['HTTPS_PROXY: must be an http:// or https:// URL, such as http://proxy:3128'],
    });
  },
);
