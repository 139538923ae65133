// The roles as processes: how a callback passes from one to the other, and how they stop.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answer } from '../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../simulator/merchant.ts';
import { callbackBody, newReference, testKey } from './support/callbacks.ts';
import { openRaw, requestText } from './support/raw-http.ts';
import { withRedis } from './support/with-redis.ts';
import { startService, type TestService } from './support/service.ts';
import { makeTempDir } from './support/temp-dir.ts';
import { until } from './support/until.ts';

const secret = `whsec_${Buffer.from('a secret of thirty-two characters').toString('base64')}`;

const { server: redis } = await withRedis();
let merchant: ReturnType<typeof createMerchantSimulator>;
let forwardUrl: string;

beforeAll(async () => {
  merchant = createMerchantSimulator({ secrets: [secret] });
  forwardUrl = (await merchant.listen()).url;
});

afterAll(async () => {
  await merchant.close();
});

function start(roles: string[], env: Record<string, string> = {}): Promise<TestService> {
  return startService({
    roles,
    env: { PAYALO_API_KEYS: testKey, REDIS_URL: redis.url, FORWARD_URL: forwardUrl, FORWARD_SECRET: secret, ...env },
  });
}

async function send(url: string, body: string): Promise<string> {
  const headers = { 'x-api-key': testKey, 'content-type': 'application/json' };
  const response = await fetch(`${url}/webhooks/payalo`, { method: 'POST', headers, body });
  return `${response.status} ${await response.text()}`;
}

describe('all', () => {
  test("delivers the gateway's example byte for byte, once, with its duplicate answered as one", async () => {
    await using service = await start(['all']);
    const reference = newReference();
    const body = callbackBody({ reference });
    expect(await send(service.url, body)).toBe('200 {"status":"ok"}');
    expect(await send(service.url, body)).toBe('200 {"status":"ok","duplicate":true}');
    const [delivery] = await until(
      () => merchant.deliveriesOf(reference).length > 0 && merchant.deliveriesOf(reference),
      {
        describe: 'the delivery',
      },
    );
    expect(delivery?.body.equals(Buffer.from(body))).toBe(true);
    expect(delivery?.headers).toMatchObject({
      'content-type': 'application/json',
      'payalo-gateway-reference': reference,
      'payalo-brand': 'default',
      'payalo-source': 'callback',
      'payalo-attempt': '1',
      'payalo-sequence': '0',
    });
    expect((await service.stop()).code).toBe(0);
    expect(merchant.deliveriesOf(reference)).toHaveLength(1);
  });

  test('logs once which features are off because they are not configured', async () => {
    await using service = await start(['all'], { FORWARD_URL: '' });
    const notices = service.logs.filter(({ event }) => event === 'service.notice').map(({ notice }) => String(notice));
    expect(notices.filter((notice) => notice.includes('FORWARD_URL'))).toHaveLength(1);
    expect(service.logs.filter(({ event }) => event === 'reconcile.off')).toHaveLength(1);
  });
});

describe('receive and work as processes of their own', () => {
  test('hand callbacks over through Redis, whatever characters the reference holds', async () => {
    await using receiver = await start(['receive']);
    const references = ['ссылка-ж', '🙂🙃', 'a\r\nx-forged: 1', 'nul\u0000', '\ud800'].map(
      (text) => text + newReference(),
    );
    for (const reference of references) expect(await send(receiver.url, callbackBody({ reference }))).toContain('200');
    await using worker = await start(['work'], { PAYALO_API_KEYS: '' });
    expect(worker.url).toBe('');
    await until(
      () =>
        references.every((reference) =>
          merchant.deliveries().some(({ body }) => body.includes(JSON.stringify(reference))),
        ),
      {
        describe: 'every reference to be delivered',
      },
    );
    const attempts = () => worker.logs.filter(({ event }) => event === 'delivery.attempted');
    await until(() => attempts().length >= references.length, { describe: 'the log lines' });
    expect(new Set(attempts().map(({ attempt }) => attempt))).toEqual(new Set([1]));
  });

  test('are refused together, with all their problems and exit code 78', async () => {
    const refused = startService({ roles: ['work'], env: { PORT: 'x', DEDUP_TTL: '1h' } });
    await expect(refused).rejects.toThrow(/(?=.*78)(?=.*PORT: )(?=.*DEDUP_TTL: )(?=.*FORWARD_URL: )/s);
  });
});

test.for(['PORT', 'OPS_PORT'])('says in one sentence that %s is in use, without the exit code 78', async (variable) => {
  const taken = new URL(forwardUrl).port;
  const refused = start(['receive'], { [variable]: taken });
  await expect(refused).rejects.toMatchObject({
    exitCode: 1,
    output: expect.stringMatching(
      new RegExp(
        `^${variable}: cannot listen on 127.0.0.1, port ${taken}: another program already listens there$`,
        'm',
      ),
    ),
  });
  await expect(refused).rejects.not.toMatchObject({ output: expect.stringMatching('service.failed') });
});

describe('on SIGTERM', () => {
  test('turns unready while callbacks are still accepted, then closes, and exits with 0', async () => {
    await using service = await start(['receive'], { SHUTDOWN_TIMEOUT: '5s' });
    const early = await openRaw(service.url);
    const body = callbackBody();
    const head = ['Host: x', `X-API-KEY: ${testKey}`, `Content-Length: ${body.length}`];
    early.send(requestText('POST /webhooks/payalo HTTP/1.1', head));
    const stopped = service.stop();
    await until(async () => (await fetch(`${service.url}/readyz`)).status === 503, { describe: 'readiness to turn' });
    expect(await send(service.url, callbackBody())).toBe('200 {"status":"ok"}');
    early.send(body);
    expect(await early.answer()).toMatchObject({ status: 200, headers: { connection: 'close' }, closedByServer: true });
    const { code, ms } = await stopped;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(6_000);
    await expect(fetch(service.url)).rejects.toThrow('fetch failed');
  });

  test('is not delayed by clients that send no request, or half of one', async () => {
    await using service = await start(['receive'], { SHUTDOWN_TIMEOUT: '4s' });
    const silent = await openRaw(service.url);
    const half = await openRaw(service.url);
    half.send(requestText('POST /webhooks/payalo HTTP/1.1', ['Host: x', `X-API-KEY: ${testKey}`, 'Content-Length: 9']));
    expect((await service.stop()).code).toBe(0);
    silent.destroy();
    half.destroy();
  });

  test('exits gracefully with 0 even while it is still starting', async () => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/main.ts', 'receive'], {
      // Nothing listens there, so the start waits for Redis.
      env: {
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        PAYALO_API_KEYS: testKey,
        REDIS_URL: 'redis://127.0.0.1:1',
        PORT: '0',
        OPS_PORT: '0',
        SHUTDOWN_TIMEOUT: '10s',
        SPOOL_DIR: await makeTempDir('spool'),
      },
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    await until(() => output.includes('redis.down'), { describe: 'the start to wait' });
    expect(output).not.toContain('service.started');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  test('gives deliveries in flight back without spending an attempt', async () => {
    merchant.always({ kind: 'hang' });
    const reference = newReference();
    const worker = await start(['all'], { SHUTDOWN_TIMEOUT: '3s', FORWARD_TIMEOUT: '60s' });
    await send(worker.url, callbackBody({ reference }));
    await until(() => merchant.deliveriesOf(reference).length === 1, { describe: 'the delivery to hang' });
    expect((await worker.stop()).code).toBe(0);
    merchant.always(answer(200));
    await using next = await start(['work']);
    await until(() => merchant.deliveriesOf(reference).length === 2, { describe: 'the delivery to come again' });
    expect(merchant.deliveriesOf(reference)[1]?.headers['payalo-attempt']).toBe('1');
    await until(() => next.logs.some(({ verdict }) => verdict === 'delivered'), { describe: 'the delivery to end' });
  });

  test('ends at once on a second signal, but not on the echo of the first', async () => {
    await using service = await start(['receive'], { SHUTDOWN_TIMEOUT: '20s' });
    service.kill('SIGINT');
    service.kill('SIGINT');
    await until(() => service.logs.some(({ event }) => event === 'service.stopping'), {
      describe: 'the stop to begin',
    });
    expect((await fetch(`${service.url}/livez`)).status).toBe(200);
    const startedAt = performance.now();
    await until(
      () => {
        service.kill('SIGINT');
        return service.logs.some(({ event }) => event === 'service.ended_at_once');
      },
      { everyMs: 200, describe: 'the second signal to count' },
    );
    expect((await service.exited).code).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

test('picks up a changed PAYALO_API_KEYS_FILE without a restart', async () => {
  const { mkdtemp, writeFile } = await import('node:fs/promises');
  const dir = await mkdtemp('/tmp/payalo-keys-');
  await writeFile(`${dir}/keys`, testKey);
  await using service = await startService({
    roles: ['receive'],
    env: { PAYALO_API_KEYS_FILE: `${dir}/keys`, REDIS_URL: redis.url },
  });
  const nextKey = 'next-key-0123456789abcdef';
  const statusWith = async (key: string) =>
    (
      await fetch(`${service.url}/webhooks/payalo`, {
        method: 'POST',
        headers: { 'x-api-key': key },
        body: callbackBody(),
      })
    ).status;
  expect([await statusWith(testKey), await statusWith(nextKey)]).toEqual([200, 401]);
  await writeFile(`${dir}/keys`, `${testKey},${nextKey}`);
  await until(async () => (await statusWith(nextKey)) === 200, { describe: 'the new key to be accepted' });
  expect(await statusWith(testKey)).toBe(200);
  expect(service.logs.some(({ event }) => event === 'api_keys.new_brand')).toBe(false);
  await writeFile(`${dir}/keys`, `${testKey},${nextKey},acme=acme-key-0123456789abcdef`);
  const isNewBrand = ({ event, brands }: Record<string, unknown>) =>
    event === 'api_keys.new_brand' && JSON.stringify(brands) === '["acme"]';
  await until(() => service.logs.some(isNewBrand), { describe: 'the warning that acme waits for a restart' });
  await writeFile(`${dir}/keys`, 'short');
  await until(() => service.logs.some(({ event }) => event === 'api_keys.kept'), { describe: 'the complaint' });
  expect(await statusWith(nextKey)).toBe(200);
});
