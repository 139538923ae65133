// An endpoint with a private certificate authority that requires a client certificate: a real TLS server.
import { copyFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { once } from 'node:events';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ClientTls } from '../../src/config/client-tls.ts';
import { loadConfig } from '../../src/config/config.ts';
import { makeCertificates, type Certificates } from '../support/certificates.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { attemptAt } from './attempt-at.ts';

let server: Certificates;
let ours: Certificates;
let others: Certificates;
const { server: redis } = await withRedis();

beforeAll(async () => {
  [server, ours, others] = await Promise.all([makeCertificates(), makeCertificates(), makeCertificates()]);
});

/** Accepts callbacks from clients with a certificate of `authority`. */
async function startMerchant(authority: string) {
  const seen: string[] = [];
  const options = {
    cert: readFileSync(server.certificate),
    key: readFileSync(server.key),
    ca: readFileSync(authority),
    requestCert: true,
    rejectUnauthorized: true,
  };
  const https = createServer(options, (request, response) => {
    seen.push(request.url ?? '');
    response.setHeader('Connection', 'close'); // so that each delivery makes a connection
    response.end('ok');
  });
  await once(https.listen(0, '127.0.0.1'), 'listening');
  const address = https.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `https://127.0.0.1:${port}/hook`,
    seen,
    async [Symbol.asyncDispose]() {
      https.closeAllConnections();
      await new Promise((resolve) => https.close(resolve));
    },
  };
}

function attempting(url: string, forwardTls: ClientTls) {
  const http = attemptAt(url, { brand: { forwardSecrets: [], forwardHeaders: {}, forwardTls } });
  return { ...http, [Symbol.asyncDispose]: () => http.close() };
}

const tlsOf = ({ certificate, key }: Certificates) => ({
  certFile: certificate,
  keyFile: key,
  caFile: server.authority,
});

test.each([
  ['with the required certificate and authority', () => tlsOf(ours), 'answered'],
  ['without a certificate', () => ({ caFile: server.authority }), 'error'],
  ['with a certificate of another authority', () => tlsOf(others), 'error'],
  ['without its authority', () => ({ certFile: ours.certificate, keyFile: ours.key }), 'error'],
])('%s: %s', async (_name, tls, kind) => {
  await using merchant = await startMerchant(ours.authority);
  await using http = attempting(merchant.url, tls());
  expect(await http.attempt()).toMatchObject({ kind });
});

test('a renewed certificate applies from the next connection on; one that does not match its key changes nothing', async () => {
  await using merchant = await startMerchant(ours.authority);
  const dir = await makeTempDir('renewed');
  const [certFile, keyFile] = [path.join(dir, 'client.pem'), path.join(dir, 'client.key')];
  copyFileSync(ours.certificate, certFile);
  copyFileSync(ours.key, keyFile);
  await using http = attempting(merchant.url, { certFile, keyFile, caFile: server.authority });
  expect(await http.attempt()).toMatchObject({ kind: 'answered' });
  copyFileSync(others.certificate, certFile); // half of a renewal
  utimesSync(certFile, new Date(), new Date(Date.now() + 5_000));
  expect(await http.attempt()).toMatchObject({ kind: 'answered' });
  copyFileSync(others.key, keyFile);
  utimesSync(keyFile, new Date(), new Date(Date.now() + 5_000));
  expect(await http.attempt()).toMatchObject({ kind: 'error' }); // now it uses a certificate that this merchant does not trust
});

test('the service delivers with it, by brand', async () => {
  await using merchant = await startMerchant(ours.authority);
  await using service = await startService({
    env: {
      REDIS_URL: redis.url,
      QUEUE_PREFIX: '{client-certificate}',
      PAYALO_API_KEYS: `acme=${testKey}`,
      FORWARD_URL: `acme=${merchant.url}`,
      FORWARD_CERT_FILE: `acme=${ours.certificate}`,
      FORWARD_KEY_FILE: `acme=${ours.key}`,
      FORWARD_CA_FILE: server.authority,
    },
  });
  const body = callbackBody({ reference: newReference() });
  await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
  await until(() => merchant.seen.length === 1);
});

test('the start is refused with one sentence for each mistake', async () => {
  const junk = path.join(await makeTempDir('junk'), 'junk.pem');
  writeFileSync(junk, 'no certificate');
  const problemsOf = (variables: Readonly<Record<string, string>>) => {
    const environment = { PAYALO_API_KEYS: testKey, FORWARD_URL: 'https://shop.example/hook', ...variables };
    const loaded = loadConfig(environment);
    return 'problems' in loaded ? loaded.problems : [];
  };
  expect(problemsOf({ FORWARD_CERT_FILE: ours.certificate })).toEqual([
    'FORWARD_KEY_FILE: is needed beside FORWARD_CERT_FILE',
  ]);
  expect(problemsOf({ FORWARD_KEY_FILE: ours.key })).toEqual(['FORWARD_CERT_FILE: is needed beside FORWARD_KEY_FILE']);
  expect(problemsOf({ FORWARD_CERT_FILE: ours.certificate, FORWARD_KEY_FILE: others.key })).toEqual([
    `FORWARD_KEY_FILE: ${others.key} is not the key of the certificate in ${ours.certificate}`,
  ]);
  expect(problemsOf({ FORWARD_CA_FILE: './missing.pem' })).toEqual([
    'FORWARD_CA_FILE: ./missing.pem cannot be read (ENOENT)',
  ]);
  expect(problemsOf({ FORWARD_CA_FILE: junk })).toEqual([
    `FORWARD_CA_FILE: ${junk} is not a PEM file with a certificate`,
  ]);
  expect(problemsOf({ FORWARD_CA_FILE: `nobody=${server.authority}` })).toEqual([
    'FORWARD_CA_FILE: there is no brand nobody; there is default',
  ]);
  expect(problemsOf({ FORWARD_URL: 'http://shop.example/hook', FORWARD_CA_FILE: server.authority })).toEqual([
    'FORWARD_URL: begins with http:, so no certificate is ever asked for or checked; use https: or unset the files',
  ]);
  expect(problemsOf({ FORWARD_CERT_FILE: ours.certificate, FORWARD_KEY_FILE: ours.key })).toEqual([]);
});
