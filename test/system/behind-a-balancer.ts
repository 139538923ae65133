// The promises of two receivers behind any load balancer.
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import { freePort } from '../support/private-redis.ts';
import type { Balancer } from '../support/balancer.ts';
import { callbackBody, testKey } from '../support/callbacks.ts';
import { elapsedMs, failuresOf, startLoad, type Answer, type Load } from '../support/load.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

export type StartBalancer = (receivers: readonly [number, number]) => Promise<Balancer>;

const path = '/webhooks/payalo';
const patience = { timeoutMs: 60_000 };
const gatewayTimeoutMs = 15_000;
/** Linux answers on all of 127.0.0.0/8, so that a client may have another address than the balancer. */
const clientAddress = '127.0.0.2';
const otherAddress = '127.0.0.3';

export function behindABalancer(startBalancer: StartBalancer): void {
  const setUp = async (env: Readonly<Record<string, string>> = {}) => {
    const disposables = new AsyncDisposableStack();
    const redis = disposables.use(await startRedis());
    const start = (port: number) => startReceiver(redis, port, env);
    const ports = [await freePort(), await freePort()] as const;
    const receivers = [await start(ports[0]), await start(ports[1])];
    disposables.defer(async () => {
      for (const receiver of receivers) await receiver[Symbol.asyncDispose]();
    });
    const balancer = disposables.use(await startBalancer(ports));
    await until(() => answers(balancer), { ...patience, describe: 'the balancer to reach a receiver' });
    return {
      redis,
      balancer,
      receivers,
      /**
       * Ends a receiver in its way, puts a new one in its place, and waits until the balancer uses that one and all that
       * was under way has its answer. A second try may come a second after the first one: were the other receiver gone
       * by then, there would be no third.
       */
      async replace(index: 0 | 1, load: Load, end: (receiver: TestService) => Promise<unknown>) {
        const receiver = receivers[index];
        if (receiver === undefined) throw new TypeError('There are two receivers.');
        await end(receiver);
        const next = await start(ports[index]);
        receivers[index] = next;
        const isUsed = () => next.logs.some(({ event }) => event === 'callback.accepted');
        await until(isUsed, { ...patience, describe: 'the balancer to use the new receiver' });
        await load.settled();
      },
      [Symbol.asyncDispose]: () => disposables.disposeAsync(),
    };
  };

  test('both receivers restarted in turn under load cost no callback', async () => {
    await using house = await setUp({ SHUTDOWN_TIMEOUT: '8s' });
    const { redis, balancer } = house;
    const load = startLoad({ targets: [balancer.url], ca: balancer.ca, perSecond: 200 });
    await until(() => load.answers.length >= 50, patience);
    for (const index of [0, 1] as const) {
      await house.replace(index, load, async (receiver) => expect((await receiver.stop()).code).toBe(0));
      const since = load.answers.length;
      await until(() => load.answers.length >= since + 50, patience);
    }
    await expectAllStored(await load.stop(), redis);
  });

  test('receivers killed under load cost no callback: the other one gets a second try in time', async () => {
    await using house = await setUp();
    const { redis, balancer } = house;
    const load = startLoad({ targets: [balancer.url], ca: balancer.ca, perSecond: 200 });
    await until(() => load.answers.length >= 50, patience);
    for (const index of [0, 1, 0, 1] as const) {
      await house.replace(index, load, async (receiver) => {
        receiver.kill('SIGKILL');
        await receiver.exited;
        const since = load.answers.length;
        await until(() => load.answers.length >= since + 20, patience);
      });
    }
    await expectAllStored(await load.stop(), redis);
  });

  test('a receiver that hangs costs no callback: the second try still fits into the gateway’s timeout', async () => {
    await using house = await setUp();
    const { redis, balancer, receivers } = house;
    receivers[0]?.kill('SIGSTOP');
    const load = startLoad({ targets: [balancer.url], ca: balancer.ca });
    await until(() => load.answers.length >= 8, patience);
    const sent = await load.stop();
    receivers[0]?.kill('SIGCONT');
    await expectAllStored(sent, redis);
  });

  test('a client’s address cannot be forged; genuine callbacks are never limited', async () => {
    await using house = await setUp({ AUTH_FAILURES_PER_MINUTE: '3' });
    const { balancer, receivers } = house;
    const send = (key: string, from: string) =>
      post(balancer, { key, from, headers: { 'x-forwarded-for': '9.9.9.9' } });
    // Two receivers count each for itself.
    const forged: number[] = [];
    for (let count = 0; count < 20; count += 1) forged.push(await send('a-wrong-key-0123456789', clientAddress));
    expect(forged.slice(0, 3)).toEqual([401, 401, 401]);
    expect(forged.slice(-6)).toEqual([429, 429, 429, 429, 429, 429]);
    expect(await send('a-wrong-key-0123456789', otherAddress)).toBe(401);
    for (let count = 0; count < 20; count += 1) expect(await send(testKey, clientAddress)).toBe(200);
    const seen = receivers.flatMap(({ logs }) => logs.filter(({ event }) => event === 'callback.unauthorized'));
    expect(new Set(seen.map(({ address }) => address))).toEqual(new Set([clientAddress, otherAddress]));
  });

  test('only the callback path is open', async () => {
    await using house = await setUp();
    const { balancer } = house;
    const agent = new Agent({ connect: { ca: balancer.ca } });
    for (const closed of ['/', '/readyz', '/metrics', '/v1/callbacks']) {
      const { statusCode, body } = await request(`${balancer.url}${closed}`, { dispatcher: agent });
      await body.dump();
      expect(statusCode).toBe(404);
    }
    await agent.close();
  });
}

const startReceiver = (redis: TestRedis, port: number, env: Readonly<Record<string, string>>) =>
  startService({
    roles: ['receive'],
    env: {
      PAYALO_API_KEYS: testKey,
      REDIS_URL: redis.url,
      PORT: String(port),
      TRUST_PROXY: '127.0.0.1',
      ...env,
    },
  });

async function post(
  balancer: Balancer,
  { key, from, headers = {} }: { key: string; from: string; headers?: Record<string, string> },
): Promise<number> {
  const agent = new Agent({ localAddress: from, connect: { ca: balancer.ca } });
  try {
    const { statusCode, body } = await request(`${balancer.url}${path}`, {
      method: 'POST',
      dispatcher: agent,
      headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
      body: callbackBody(),
    });
    await body.dump();
    return statusCode;
  } finally {
    await agent.close();
  }
}

/** Until the first health checks, the balancer has no server. */
async function answers(balancer: Balancer): Promise<boolean> {
  const agent = new Agent({ connect: { ca: balancer.ca } });
  try {
    const { statusCode, body } = await request(`${balancer.url}${path}`, { dispatcher: agent });
    await body.dump();
    return statusCode === 405;
  } catch {
    await delay(20);
    return false;
  } finally {
    await agent.close();
  }
}

async function expectAllStored(sent: readonly Answer[], redis: TestRedis): Promise<void> {
  expect(failuresOf(sent)).toEqual([]);
  expect(sent.filter((answer) => elapsedMs(answer) >= gatewayTimeoutMs)).toEqual([]);
  const client = new Redis(redis.url);
  const stored = await client.llen('{payalo}:payalo-callbacks:wait');
  client.disconnect();
  expect(stored).toBe(sent.length);
}
