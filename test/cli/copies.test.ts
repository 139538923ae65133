// `deliver --to` and `listen --to`: copies for development, as a user runs them; the callbacks themselves do not change.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMerchantSimulator, type MerchantSimulator } from '../../simulator/merchant.ts';
import { newReference } from '../support/callbacks.ts';
import { runCli, startCli } from '../support/cli.ts';
import { withRedis } from '../support/with-redis.ts';
import { createStoredCallbacks } from '../support/stored-callbacks.ts';
import { until } from '../support/until.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const { server, redis } = await withRedis();
let stored: ReturnType<typeof createStoredCallbacks>;
let merchant: MerchantSimulator;
let to: string;
let env: Readonly<Record<string, string>>;

beforeEach(async () => {
  stored = createStoredCallbacks(server.url);
  merchant = createMerchantSimulator({ secrets: [secret] });
  to = (await merchant.listen()).url;
  const { name, prefix } = stored.queue;
  env = { REDIS_URL: server.url, QUEUE_NAME: name, QUEUE_PREFIX: prefix, FORWARD_SECRET: secret };
});
afterEach(async () => {
  await stored[Symbol.asyncDispose]();
  await merchant.close();
});

/** Everything that Redis holds. */
async function content(): Promise<Record<string, unknown>> {
  const keys = (await redis.keys('*')).toSorted();
  const values = await Promise.all(keys.map(valueOf));
  return Object.fromEntries(keys.map((key, at) => [key, values[at]]));
}

async function valueOf(key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES');
    case 'stream':
      return redis.xrange(key, '-', '+');
    default:
      return redis.get(key);
  }
}

const received = () => merchant.deliveries().map(({ headers }) => String(headers['payalo-gateway-reference']));

test('deliver sends a copy with a delivery’s headers and signature, and changes nothing in Redis', async () => {
  const reference = await stored.store({ status: 'success' });
  await stored.deliver();
  const before = await content();
  const { code, out } = await runCli(['deliver', reference, '--to', to], env);
  expect({ code, out }).toEqual({ code: 0, out: `${reference}  answered 200\n` });
  expect(await content()).toEqual(before);
  const [copy] = merchant.deliveries();
  expect(copy).toMatchObject({ signature: 'valid', headers: { 'payalo-copy': 'yes', 'payalo-source': 'callback' } });
  expect(copy?.headers).toMatchObject({ 'payalo-gateway-reference': reference, 'payalo-confirmed': 'no' });
});

test('deliver exits with 1 if the callback is unknown or not accepted, and with 2 for an invalid URL', async () => {
  const unknown = await runCli(['deliver', newReference(), '--to', to], env);
  expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('No callback') });
  const reference = await stored.store({});
  await merchant.close();
  expect(await runCli(['deliver', reference, '--to', to], env)).toMatchObject({
    code: 1,
    out: expect.stringContaining('no answer (ECONNREFUSED)'),
  });
  expect((await runCli(['deliver', reference, '--to', 'ftp://there'], env)).code).toBe(2);
});

test('listen --from --once sends the earlier callbacks in the requested state, each once, and ends', async () => {
  const [first, second, third] = [await stored.store({}), await stored.store({}), await stored.store({})];
  await stored.deliver();
  await stored.fail();
  const before = await content();
  const all = await runCli(['listen', '--to', to, '--from', '1h', '--once'], env);
  expect(all).toMatchObject({ code: 0, out: expect.stringContaining('3 of 3 copies were taken.') });
  expect(received().toSorted()).toEqual([first, second, third].toSorted());
  const failed = await runCli(['listen', '--to', to, '--from', '1h', '--once', '--state', 'failed'], env);
  expect(failed.code).toBe(0);
  expect(received().slice(3)).toEqual([second]);
  expect(await content()).toEqual(before);
});

test('listen sends each new callback once until Ctrl-C, even across a restart of Redis, and no earlier ones', async () => {
  await stored.store({});
  const listening = startCli(['listen', '--to', to], env);
  await until(() => listening.output().includes('Copies go to'));
  const first = await stored.store({});
  await until(() => received().length === 1);
  listening.kill('SIGSTOP'); // callbacks that arrive before it reconnects to Redis must not be missed
  await server.restart();
  const second = await stored.store({});
  listening.kill('SIGCONT');
  await until(() => received().length === 2, { timeoutMs: 15_000 });
  const third = await stored.store({});
  await until(() => received().length === 3, { timeoutMs: 15_000 });
  listening.kill('SIGINT');
  expect(await listening.ended).toMatchObject({ code: 0, out: expect.stringContaining('3 of 3 copies were taken.') });
  expect(received()).toEqual([first, second, third]);
});

test('listen --once without --from ends after the first new callback', async () => {
  const listening = startCli(['--json', 'listen', '--to', to, '--once'], env);
  await until(() => listening.output().includes('Copies go to'));
  const reference = await stored.store({});
  const { code, out } = await listening.ended;
  expect({ code, ...JSON.parse(out) }).toEqual({ code: 0, sent: 1, taken: 1 });
  expect(received()).toEqual([reference]);
});
