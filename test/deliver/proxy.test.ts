// HTTP_PROXY, HTTPS_PROXY and NO_PROXY: deliveries, calls to the gateway and the CLI, through a real forward proxy.
import { expect, test } from 'vitest';
import { checkMerchant } from '../../src/ops/doctor/doctor-http.ts';
import { createGatewayClient } from '../../src/reconcile/gateway/gateway-client.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createGatewaySimulator } from '../../simulator/gateway.ts';
import { startForwardProxy } from '../support/forward-proxy.ts';
import { withRedis } from '../support/with-redis.ts';
import { attemptAt } from './attempt-at.ts';
import { startHttp2Merchant } from './http2-merchant.ts';
import { startRawMerchant } from './raw-merchant.ts';
import { createRig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

const portOf = (url: string) => Number(new URL(url).port);

test('a merchant whose name only the proxy knows gets its callbacks through HTTP_PROXY, headers and body unchanged', async () => {
  await using merchant = await createRig(redis);
  await using proxy = await startForwardProxy({ names: { 'shop.test': portOf(merchant.url) } });
  const env = { FORWARD_URL: 'http://shop.test/payments?a=b', HTTP_PROXY: proxy.url };
  await using rig = await createRig(redis, { env });
  await rig.start();
  const job = await rig.settled(await rig.add({ gatewayReference: 'through' }));
  expect(job.returnvalue).toMatchObject({ status: 200, attempt: 1 });
  expect(proxy.requests()).toEqual([{ kind: 'POST', target: 'http://shop.test/payments?a=b', authorization: null }]);
  const [delivery] = merchant.merchant.deliveries();
  expect(delivery).toMatchObject({ path: '/payments?a=b', headers: { host: 'shop.test' } });
  expect(delivery?.body.toString()).toContain('"value": 100.00');
});

test('over https the callback goes through a CONNECT tunnel, with the certificate of the merchant checked, over HTTP/2', async () => {
  await using merchant = await startHttp2Merchant((stream) => {
    stream.respond({ ':status': 200 });
    stream.end('taken');
  });
  await using proxy = await startForwardProxy({ names: { 'stranger.test': merchant.port } });
  const proxies = { HTTPS_PROXY: proxy.url };
  const http = attemptAt(merchant.url, { proxies });
  expect(await http.attempt()).toMatchObject({ status: 200, answer: 'taken' });
  expect(proxy.requests()).toEqual([{ kind: 'CONNECT', target: `127.0.0.1:${merchant.port}`, authorization: null }]);
  await http.close();
  const stranger = attemptAt('https://stranger.test/', { proxies });
  expect(await stranger.attempt()).toEqual({ kind: 'error', error: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  await stranger.close();
});

test('destinations in NO_PROXY are called directly', async () => {
  await using proxy = await startForwardProxy();
  await using rig = await createRig(redis, { env: { HTTP_PROXY: proxy.url, NO_PROXY: '10.0.0.0/8,127.0.0.0/8' } });
  await rig.start();
  expect((await rig.settled(await rig.add())).returnvalue).toMatchObject({ status: 200, attempt: 1 });
  expect(proxy.requests()).toEqual([]);
});

test('the proxy gets the credentials of its URL, and the merchant none of them; no log line holds them', async () => {
  await using merchant = await createRig(redis);
  await using proxy = await startForwardProxy({
    names: { 'shop.test': portOf(merchant.url) },
    password: 'out:w%ord',
  });
  const env = { FORWARD_URL: 'http://shop.test/', HTTP_PROXY: proxy.urlFor('out:w%25ord') };
  await using rig = await createRig(redis, { env });
  await rig.start();
  await rig.settled(await rig.add());
  expect(proxy.requests()).toMatchObject([{ authorization: `Basic ${btoa('out:w%ord')}` }]);
  const [delivery] = merchant.merchant.deliveries();
  expect(delivery?.headers).not.toHaveProperty('proxy-authorization');
  expect(rig.output.join('')).not.toContain('w%');
});

test.for([
  ['http', 'http://shop.test/'],
  ['https', 'https://shop.test/'],
] as const)('a proxy that refuses, hangs or is down costs attempts over %s, and nothing else', async ([, url]) => {
  await using refusing = await startForwardProxy({ password: 'user:other' });
  await using silent = await startForwardProxy({ mode: 'silent' });
  for (const proxy of [refusing.url, silent.url, 'http://127.0.0.1:9']) {
    const http = attemptAt(url, { proxies: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy }, timeoutMs: 700 });
    expect(await http.attempt()).toMatchObject({ kind: expect.stringMatching(/error|answered/) });
    const stop = new AbortController();
    const stopped = http.attempt(stop.signal);
    stop.abort();
    expect(await stopped).toMatchObject({ kind: 'aborted' });
    await http.close();
  }
});

test('an unsolicited 100 of a merchant behind a proxy is ignored as well', async () => {
  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  await using merchant = await startRawMerchant(() => ['HTTP/1.1 100 Continue\r\n\r\n', ok]);
  await using proxy = await startForwardProxy({ names: { 'shop.test': portOf(merchant.url) } });
  const http = attemptAt('http://shop.test/', { proxies: { HTTP_PROXY: proxy.url } });
  for (let count = 0; count < 3; count += 1) expect(await http.attempt()).toMatchObject({ status: 200 });
  await http.close();
});

test("the doctor's call to a merchant goes through the proxy", async () => {
  await using merchant = await createRig(redis);
  await using proxy = await startForwardProxy({ names: { 'shop.test': portOf(merchant.url) } });
  const { config } = await createRig(redis, { env: { FORWARD_URL: 'http://shop.test/', HTTP_PROXY: proxy.url } });
  const [brand] = config.brands.values();
  expect(brand && (await checkMerchant(brand, config))).toMatchObject({ status: 'ok' });
  expect(proxy.requests()).toMatchObject([{ kind: 'HEAD', target: 'http://shop.test/' }]);
});

test('calls to the gateway go through the proxy as well', async () => {
  const keys = ['key-of-the-gateway-01'];
  const gateway = createGatewaySimulator({ keys });
  const { url } = await gateway.listen();
  await using proxy = await startForwardProxy({ names: { 'gateway.test': portOf(url) } });
  const client = createGatewayClient({
    brand: { name: 'default', gatewayApiKeys: keys },
    baseUrl: url.replace(/\/\/[^/]+/, '//gateway.test'),
    egress: { proxies: { HTTP_PROXY: proxy.url } },
    log: createLog({ level: 'silent' }),
  });
  expect(await client.status('unknown', 'commands', new AbortController().signal)).toEqual({ kind: 'not-found' });
  expect(proxy.requests()).toMatchObject([{ kind: 'GET', target: expect.stringMatching(/^http:\/\/gateway\.test\//) }]);
  await client.close();
  await gateway.close();
});
