import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/reconcile/clock.ts';
import { createGatewayClient, type GatewayClient } from '../../src/reconcile/gateway/gateway-client.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  createGatewaySimulator,
  type GatewaySimulator,
  type GatewaySimulatorOptions,
} from '../../simulator/gateway.ts';
import { isoAgo } from './reconcile-rig.ts';

const signal = new AbortController().signal;
const keys = ['key-number-one-0001', 'key-number-two-0002'];
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Records the requested waits without waiting. */
function impatientClock(): Clock & { waits: number[] } {
  const waits: number[] = [];
  let aheadMs = 0;
  return {
    waits,
    now: () => Date.now() + aheadMs,
    elapsed: () => performance.now() + aheadMs,
    async sleep(ms, sleepSignal) {
      sleepSignal.throwIfAborted();
      waits.push(ms);
      aheadMs += ms;
    },
  };
}

function clientOf(baseUrl: string, options: { timeoutMs?: number; apiKeys?: readonly string[] } = {}) {
  const clock = impatientClock();
  const metrics = createMetrics();
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  const brand = { name: 'default', gatewayApiKeys: options.apiKeys ?? keys };
  const client = createGatewayClient({
    brand,
    baseUrl,
    egress: { proxies: {} },
    log,
    metrics,
    clock,
    random: () => 1,
    timeoutMs: options.timeoutMs,
  });
  closers.push(() => client.close());
  const authOk = async () =>
    (await metrics.registry.getSingleMetricAsString('payalo_gateway_auth_ok')).split('\n').at(-1);
  return { client, clock, authOk, lines };
}

async function simulator(options: GatewaySimulatorOptions = {}): Promise<{ gateway: GatewaySimulator; url: string }> {
  const gateway = createGatewaySimulator({ keys, ...options });
  closers.push(() => gateway.close());
  return { gateway, url: (await gateway.listen()).url };
}

async function serverOf(answer: (response: ServerResponse, path: string) => void): Promise<string> {
  const server: Server = createServer((request, response) => answer(response, request.url ?? ''));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

const statusOf = (client: GatewayClient, reference = 'b2p1') => client.status(reference, 'commands', signal);

describe('status', () => {
  test('gives the reply byte for byte, amounts exact', async () => {
    const { gateway, url } = await simulator();
    const [transaction] = gateway.addTransactions({ amount: '90071992547409931.10' });
    const reference = transaction?.gatewayReference ?? '';
    const answer = await statusOf(clientOf(url).client, reference);
    expect(answer).toMatchObject({
      kind: 'found',
      transaction: {
        callback: {
          body: gateway.bodyOf(reference),
          status: 'success',
          finalAmount: { value: '90071992547409931.1', currency: 'KES' },
        },
        createdAtMs: transaction?.createdAtMs,
      },
    });
  });

  test('also finds by the merchant’s reference, and reports if there is none', async () => {
    const { gateway, url } = await simulator();
    const { client } = clientOf(url);
    const [transaction] = gateway.addTransactions({ merchantReferencePrefix: 'order/1 ü' });
    expect(
      await client.statusByMerchantReference(transaction?.merchantReference ?? '', 'commands', signal),
    ).toMatchObject({
      kind: 'found',
    });
    expect(await statusOf(client, 'b2pnone')).toEqual({ kind: 'not-found' });
  });

  test("never takes another transaction's result for the one asked for", async () => {
    const url = await serverOf((response) => response.end('{"gatewayReference":"b2pother","status":"success"}'));
    expect(await statusOf(clientOf(url).client)).toEqual({ kind: 'unavailable', reason: 'another-reference' });
  });

  test('sends references percent-encoded', async () => {
    const paths: string[] = [];
    const url = await serverOf((response, path) => {
      paths.push(path);
      response.writeHead(404).end();
    });
    await statusOf(clientOf(url).client, 'a/b?c#ü');
    expect(paths).toEqual(['/status/a%2Fb%3Fc%23%C3%BC']);
  });
});

describe('keys', () => {
  test('are tried in turn on 401, and the accepted one first from then on', async () => {
    const { gateway, url } = await simulator();
    gateway.setKeys(keys.slice(1));
    const { client, authOk } = clientOf(url);
    await statusOf(client);
    expect(gateway.calls().unauthorized).toBe(1);
    await statusOf(client);
    expect(gateway.calls().unauthorized).toBe(1);
    expect(await authOk()).toBe('payalo_gateway_auth_ok{brand="default"} 1');
  });

  test('that are all refused are logged once, and again when one is accepted', async () => {
    const { gateway, url } = await simulator();
    gateway.setKeys(['another-key-of-the-brand']);
    const { client, authOk, lines } = clientOf(url);
    expect(await statusOf(client)).toEqual({ kind: 'unauthorized' });
    expect(await statusOf(client)).toEqual({ kind: 'unauthorized' });
    expect(await authOk()).toBe('payalo_gateway_auth_ok{brand="default"} 0');
    gateway.setKeys(keys);
    await statusOf(client);
    expect(await authOk()).toBe('payalo_gateway_auth_ok{brand="default"} 1');
    expect(lines.map(({ event }) => event)).toEqual(['gateway.unauthorized', 'gateway.authorized']);
    expect(JSON.stringify(lines)).not.toContain(keys[0]);
  });
});

describe('trouble', () => {
  test.each([408, 429, 500, 502, 503, 504])('%i is retried with growing waits', async (status) => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'answer', status, calls: 3 });
    const { client, clock } = clientOf(url);
    expect(await statusOf(client)).toEqual({ kind: 'not-found' });
    expect(clock.waits).toEqual([500, 1_000, 2_000]);
  });

  test('400 and 403 are not retried', async () => {
    const { gateway, url } = await simulator();
    const { client } = clientOf(url);
    for (const status of [400, 403]) {
      gateway.setOutage({ kind: 'answer', status });
      expect(await statusOf(client)).toMatchObject({ kind: 'refused', status });
    }
    expect(gateway.calls().status).toBe(2);
  });

  test('Retry-After is waited for', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'answer', status: 429, retryAfterSeconds: 7, calls: 1 });
    const { client, clock } = clientOf(url);
    await statusOf(client);
    expect(clock.waits).toEqual([7_000]);
  });

  test('a connection that breaks or is refused ends as unavailable, with the code', async () => {
    const { gateway, url } = await simulator();
    const { client } = clientOf(url);
    gateway.setOutage({ kind: 'reset' });
    expect(await statusOf(client)).toMatchObject({
      kind: 'unavailable',
      reason: expect.stringMatching(/^(ECONN|UND)/),
    });
    await gateway.down();
    expect(await statusOf(client)).toEqual({ kind: 'unavailable', reason: 'ECONNREFUSED' });
  });

  test('a gateway that never answers costs the timeout, not for ever', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'hang' });
    const { client } = clientOf(url, { timeoutMs: 20 });
    expect(await statusOf(client)).toEqual({ kind: 'unavailable', reason: 'timeout' });
  });

  test('a sweep that knows that the gateway is down waits 3 s for each call, once', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'hang' });
    const startedAtMs = performance.now();
    const answer = await clientOf(url).client.status('b2p1', 'sweeps-in-outage', signal);
    expect(answer).toEqual({ kind: 'unavailable', reason: 'timeout' });
    expect(gateway.calls().status).toBe(1);
    expect(performance.now() - startedAtMs).toBeLessThan(10_000); // the time of the ordinary call
  });

  test('a reply that is not a transaction, or endless, ends as unavailable', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'garbage' });
    expect(await statusOf(clientOf(url).client)).toEqual({ kind: 'unavailable', reason: 'unreadable-reply' });
    const endless = await serverOf((response) => {
      const write = () => {
        while (response.write(' '.repeat(65_536)));
        response.once('drain', write);
      };
      write();
    });
    expect(await statusOf(clientOf(endless).client)).toEqual({ kind: 'unavailable', reason: 'unreadable-reply' });
  });

  test('a pay-in is not retried on 504, which may have started it', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'answer', status: 504 });
    expect(await clientOf(url).client.startPayin('mpesa-ke', '{}', signal)).toMatchObject({ kind: 'unavailable' });
    expect(gateway.calls().start).toBe(1);
  });

  test('an aborted call rejects at once', async () => {
    const { gateway, url } = await simulator();
    gateway.setOutage({ kind: 'hang' });
    const aborting = new AbortController();
    const call = clientOf(url).client.status('b2p1', 'commands', aborting.signal);
    aborting.abort();
    await expect(call).rejects.toThrow(/abort/i);
  });

  test('calls keep below 50 a second', async () => {
    const { gateway, url } = await simulator({ statusCallsPerSecondMax: 10_000 });
    const { client, clock } = clientOf(url);
    const startedAtMs = clock.now();
    for (let calls = 0; calls < 100; calls += 1) await statusOf(client);
    expect(gateway.calls().status).toBe(100);
    expect(clock.now() - startedAtMs).toBeGreaterThanOrEqual(90 * 25 - 25);
  });
});

describe('records', () => {
  test('are parsed leniently: unknown fields, nulls, no pages; invalid transactions are counted', async () => {
    const url = await serverOf((response) =>
      response.end(
        '\uFEFF{"data":[{"gatewayReference":"a","status":"success","finalAmount":{"value":1.50,"currency":"KES"},"createdAt":null,"x":[1e3]},7,{}],"more":1}',
      ),
    );
    const answer = await clientOf(url).client.records({ fromMs: 0, toMs: 1, pageSize: 5 }, signal);
    expect(answer).toMatchObject({
      kind: 'page',
      unreadable: [{ reason: 'no-transaction' }, { reason: 'no-transaction' }],
      next: undefined,
    });
    if (answer.kind !== 'page') return;
    expect(answer.transactions[0]).toMatchObject({ createdAtMs: undefined });
    expect(answer.transactions[0]?.callback.body).toContain('"value":1.50');
    expect(answer.transactions[0]?.callback.body).toContain('[1e3]');
  });

  test.each([
    ['"a"', { kind: 'page', next: 'a' }],
    ['12345678901234567890', { kind: 'page', next: '12345678901234567890' }],
    ['null', { kind: 'page', next: undefined }],
    ['""', { kind: 'page', next: undefined }],
    ['{"of":"a kind"}', { kind: 'damaged' }],
  ])('do not end if the cursor has another type: %s', async (next, expected) => {
    const url = await serverOf((response) => response.end(`{"data":[],"pages":{"next":${next}}}`));
    const { client } = clientOf(url);
    expect(await client.records({ fromMs: 0, toMs: 1, pageSize: 5 }, signal)).toMatchObject(expected);
  });

  test('send only the cursor', async () => {
    const { gateway, url } = await simulator();
    gateway.addTransactions({ count: 3, createdAt: isoAgo(1_000) });
    const { client } = clientOf(url);
    const first = await client.records({ fromMs: Date.now() - 60_000, toMs: Date.now(), pageSize: 2 }, signal);
    if (first.kind !== 'page' || first.next === undefined) throw new Error('no cursor');
    expect(await client.nextRecords(first.next, signal)).toMatchObject({
      kind: 'page',
      transactions: [{}],
      next: undefined,
    });
  });
});
