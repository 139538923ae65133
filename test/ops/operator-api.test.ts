// The operator API of the real service: find, replay, erase, quarantine, expectations, pause; who may do what.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { rawHttp, requestText } from '../support/raw-http.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const token = 'operator-token-0123456789';
const expectToken = 'expect-token-0123456789';

const { server: redis } = await withRedis();
let service: TestService;
let merchant: Server;
let merchantStatus = 200;
const delivered: { id: string; reference: string }[] = [];

beforeAll(async () => {
  merchant = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      delivered.push({
        id: String(request.headers['webhook-id']),
        reference: String(request.headers['payalo-gateway-reference']),
      });
      response.writeHead(merchantStatus).end('{"hello":"world"}');
    });
  });
  merchant.listen(0, '127.0.0.1');
  await once(merchant, 'listening');
  const address = z.object({ port: z.number() }).parse(merchant.address());
  service = await startService({
    env: {
      REDIS_URL: redis.url,
      PAYALO_API_KEYS: testKey,
      FORWARD_URL: `http://127.0.0.1:${address.port}/hook`,
      FORWARD_RETRIES: '1h',
      OPS_TOKEN: `amina=${token},checkout:expect=${expectToken}`,
    },
  });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  merchant.close();
});

async function receive(body: string): Promise<number> {
  const answer = await fetch(`${service.url}/webhooks/payalo`, {
    method: 'POST',
    headers: { 'x-api-key': testKey },
    body,
  });
  return answer.status;
}

interface CallOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

async function call(path: string, { method = 'GET', body, headers = {} }: CallOptions = {}) {
  const response = await fetch(service.opsUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = z.record(z.string(), z.unknown()).parse(text === '' ? {} : JSON.parse(text));
  return { status: response.status, type: response.headers.get('content-type') ?? '', json };
}

const stateOf = async (reference: string) =>
  (await call(`/v1/callbacks/${encodeURIComponent(reference)}`)).json['state'];
const inState = (reference: string, state: string) => until(async () => (await stateOf(reference)) === state);

async function deliveredCallback(): Promise<string> {
  const reference = newReference();
  await receive(callbackBody({ reference }));
  await inState(reference, 'delivered');
  return reference;
}

describe('callbacks', () => {
  test('refuses a period without offsets, and says how to write it', async () => {
    const { status, json } = await call('/v1/callbacks?from=2026-01-31T00:00:00');
    expect(status).toBe(400);
    expect(JSON.stringify(json)).toContain('with an offset, such as 2026-01-31T00:00:00Z');
  });

  test('settles a dispute: when it came, what it contained, each attempt, and the body byte for byte', async () => {
    const reference = await deliveredCallback();
    const { status, json } = await call(`/v1/callbacks/${reference}`);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      state: 'delivered',
      source: 'callback',
      duplicates: 0,
      conflicts: [],
      nextAttemptAt: null,
      attempts: [{ attempt: 1, status: 200 }],
      body: callbackBody({ reference }),
    });
    expect(Date.parse(String(json['deliveredAt']))).toBeGreaterThanOrEqual(Date.parse(String(json['receivedAt'])));
  });

  test('finds a reference with slashes, spaces and letters of any script, of 255 characters', async () => {
    const reference = `a/b c?&#%2F ${'ø'.repeat(200)}${'😀'.repeat(43)}`;
    expect(Array.from(reference).length).toBe(255);
    expect(await receive(callbackBody({ reference }))).toBe(200);
    await inState(reference, 'delivered');
  });

  test('lists and pages by merchant’s reference, state and period', async () => {
    const merchantReference = `order-${newReference()}`;
    const from = new Date().toISOString();
    for (let index = 0; index < 3; index += 1)
      await receive(callbackBody({ merchantReference, reference: newReference() }));
    const query = new URLSearchParams({ from, limit: '2' }).toString();
    const first = await call(`/v1/callbacks?${query}`);
    const rows = z.array(z.looseObject({ gatewayReference: z.string() }));
    expect(rows.parse(first.json['data']).length).toBe(2);
    const second = await call(`/v1/callbacks?${query}&cursor=${String(first.json['next'])}`);
    expect(rows.parse(second.json['data']).length).toBe(1);
    expect(second.json['next']).toBeNull();
    const mine = await call(`/v1/callbacks?merchantReference=${merchantReference}`);
    expect(rows.parse(mine.json['data']).length).toBe(3);
  });

  test('shows a failed job that is not a callback, in the API and the console, and does not replay it with others', async () => {
    const queue = new Queue('payalo-callbacks', { connection: { url: redis.url }, prefix: '{payalo}' });
    const { id = '' } = await queue.add('callback', { hello: 'world' });
    const failed = await until(async () => {
      const { json } = await call('/v1/callbacks?state=failed');
      const rows = z
        .array(z.looseObject({ jobId: z.string(), failedReason: z.string().nullable() }))
        .parse(json['data']);
      return rows.find(({ jobId }) => jobId === id);
    });
    expect(failed).toMatchObject({ gatewayReference: null, state: 'failed' });
    expect(failed.failedReason).toContain('no callback of version 1');
    const page = await fetch(`${service.opsUrl}/callbacks?state=failed`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect((await page.text()).replaceAll(/\s+/g, ' ')).toContain(
      `not a callback: job</span> <span class="reference">${id}</span>`,
    );
    expect(await call('/v1/replays', { method: 'POST', body: { state: 'failed' } })).toMatchObject({
      json: { count: 0 },
    });
    await queue.remove(id);
    await queue.close();
  });

  test('answers 404 to an unknown reference and 400 to an invalid query', async () => {
    expect(await call('/v1/callbacks/never')).toMatchObject({ status: 404, type: expect.stringContaining('problem') });
    for (const query of ['limit=0', 'limit=1000000', 'state=bogus', 'from=yesterday', 'cursor=bogus']) {
      expect((await call(`/v1/callbacks?${query}`)).status).toBe(400);
    }
    expect(
      (await rawHttp(service.opsUrl, requestText('GET /v1/callbacks/%zz HTTP/1.1', ['Host: localhost']))).status,
    ).toBe(400);
  });
});

describe('replay', () => {
  test('delivers again under the same webhook-id, and answers 410 after erasure', async () => {
    const reference = await deliveredCallback();
    expect(await call(`/v1/callbacks/${reference}/replay`, { method: 'POST' })).toMatchObject({ status: 202 });
    const twice = await until(() => {
      const ids = delivered.filter((one) => one.reference === reference).map(({ id }) => id);
      return ids.length === 2 && ids;
    });
    expect(new Set(twice).size).toBe(1);
    await inState(reference, 'delivered');
    expect(await call(`/v1/callbacks/${reference}`, { method: 'DELETE' })).toMatchObject({ status: 200 });
    expect((await call(`/v1/callbacks/${reference}`)).json).toMatchObject({ state: 'delivered', body: null });
    expect(await call(`/v1/callbacks/${reference}/replay`, { method: 'POST' })).toMatchObject({ status: 410 });
    expect((await call('/v1/callbacks/never/replay', { method: 'POST' })).status).toBe(404);
  });

  test('replays all that wait for a retry once the merchant is back', async () => {
    merchantStatus = 500;
    const references = [newReference(), newReference()];
    for (const reference of references) await receive(callbackBody({ reference }));
    for (const reference of references) await inState(reference, 'retrying');
    expect((await call(`/v1/callbacks/${references[0]}`, { method: 'DELETE' })).status).toBe(409);
    merchantStatus = 200;
    const answer = await call('/v1/replays', { method: 'POST', body: { state: 'retrying' } });
    expect(answer).toMatchObject({ status: 202, json: { count: 2 } });
    for (const reference of references) await inState(reference, 'delivered');
    expect((await call('/v1/replays', { method: 'POST', body: { state: 'queued' } })).status).toBe(400);
  });
});

describe('quarantine', () => {
  test('keeps refused requests, releases them under a given reference, and removes them', async () => {
    expect(await receive('{"status":"success","finalAmount":{"value":5.00,"currency":"KES"}}')).toBe(422);
    expect(await receive('not json')).toBe(400);
    const listed = await call('/v1/quarantine');
    const entries = z.array(z.looseObject({ id: z.string(), reason: z.string() })).parse(listed.json['data']);
    const bad = entries.find(({ reason }) => reason === 'bad-reference');
    const text = entries.find(({ reason }) => reason === 'not-json');
    expect((await call(`/v1/quarantine/${text?.id}`)).json).toMatchObject({ body: 'not json' });
    expect((await call(`/v1/quarantine/${bad?.id}/release`, { method: 'POST' })).status).toBe(422);
    const gatewayReference = newReference();
    const released = await call(`/v1/quarantine/${bad?.id}/release`, { method: 'POST', body: { gatewayReference } });
    expect(released).toMatchObject({ status: 200, json: { outcome: 'queued' } });
    await inState(gatewayReference, 'delivered');
    expect((await call(`/v1/quarantine/${text?.id}`, { method: 'DELETE' })).status).toBe(200);
    expect((await call(`/v1/quarantine/${text?.id}`, { method: 'DELETE' })).status).toBe(404);
    expect((await call('/v1/quarantine')).json['data']).toEqual([]);
  });
});

describe('forwarding', () => {
  test('pauses deliveries while intake continues, and resumes them', async () => {
    expect(await call('/v1/forwarding/pause', { method: 'POST' })).toMatchObject({
      status: 200,
      json: { paused: true },
    });
    const reference = newReference();
    expect(await receive(callbackBody({ reference }))).toBe(200);
    expect(await stateOf(reference)).toBe('queued');
    expect((await call('/v1/overview')).json).toMatchObject({ forwarding: [{ brand: 'default', paused: true }] });
    expect(await call('/v1/forwarding/resume', { method: 'POST' })).toMatchObject({ json: { paused: false } });
    await inState(reference, 'delivered');
    expect((await call('/v1/forwarding/pause?brand=nobody', { method: 'POST' })).status).toBe(400);
  });
});

describe('who may', () => {
  test('asks for a token, as Bearer or as Basic password, and names the problem', async () => {
    const bare = await fetch(`${service.opsUrl}/v1/callbacks`);
    expect(bare.status).toBe(401);
    expect(bare.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect(bare.headers.get('content-type')).toContain('application/problem+json');
    for (const authorization of [
      'Bearer wrong',
      `Basic ${btoa('amina:wrong')}`,
      token,
      `Bearer ${token}x`,
      'Bearer ',
    ]) {
      expect((await call('/v1/callbacks', { headers: { authorization } })).status).toBe(401);
    }
    const basic = { authorization: `Basic ${btoa(`anyone:${token}`)}` };
    expect((await call('/v1/callbacks', { headers: basic })).status).toBe(200);
  });

  test('lets an expect-only token register expectations and nothing else', async () => {
    const headers = { authorization: `Bearer ${expectToken}` };
    const body = { gatewayReference: newReference(), merchantReference: 'order' };
    expect((await call('/v1/expectations', { method: 'POST', body, headers })).status).toBe(202);
    for (const path of ['/v1/callbacks', '/v1/quarantine', '/v1/reconciliation', '/v1/audit', '/v1/overview']) {
      expect((await call(path, { headers })).status).toBe(403);
    }
    expect((await call('/v1/forwarding/pause', { method: 'POST', headers })).status).toBe(403);
    expect((await call('/v1/reconciliation')).json).toMatchObject({ openExpectations: 1 });
    expect((await call('/v1/expectations', { method: 'POST', body: {} })).status).toBe(400);
  });

  test('lets no other site’s page change anything, though the browser sends the password along', async () => {
    const authorization = `Basic ${btoa(`anyone:${token}`)}`;
    const pause = (headers: Record<string, string>) =>
      call('/v1/forwarding/resume', { method: 'POST', headers: { authorization, ...headers } });
    expect((await pause({ origin: 'https://evil.example' })).status).toBe(403);
    expect((await pause({ origin: 'null' })).status).toBe(403);
    expect((await pause({ origin: new URL(service.opsUrl).origin })).status).toBe(200);
    expect((await pause({})).status).toBe(200);
  });

  test('leaves an entry in the audit trail and a line in the log for each change, with the token’s name', async () => {
    const reference = await deliveredCallback();
    await call(`/v1/callbacks/${reference}/replay`, { method: 'POST' });
    await call('/v1/callbacks/never-there/replay', { method: 'POST' });
    const entries = (await call('/v1/audit?limit=2')).json['data'];
    expect(entries).toMatchObject([
      { by: 'amina', action: 'callback.replay', target: 'never-there', result: 'not-found', address: '127.0.0.1' },
      { by: 'amina', action: 'callback.replay', target: reference, result: 'replayed' },
    ]);
    const log = service.output();
    expect(log).toContain('operator.action');
    for (const secret of [token, expectToken, testKey]) expect(log).not.toContain(secret);
  });
});

describe('the listener', () => {
  test('starts beside a healthy Redis without logging a failure', async () => {
    await until(() => service.output().includes('retention.swept'));
    const warnings = service
      .output()
      .split('\n')
      .filter((line) => /"level":"(?:warn|error)"/.test(line) && !line.includes('"event":"operator.'))
      .map((line) => z.object({ event: z.string() }).parse(JSON.parse(line)).event);
    expect(new Set(warnings)).not.toContain('retention.failed');
  });

  test('serves probes and metrics without a token, with every metric of the contract', async () => {
    for (const path of ['/livez', '/readyz']) expect((await fetch(service.opsUrl + path)).status).toBe(200);
    const text = await (await fetch(`${service.opsUrl}/metrics`)).text();
    for (const state of ['queued', 'delivering', 'retrying', 'delivered', 'failed']) {
      expect(text).toContain(`payalo_queue_jobs{state="${state}"}`);
    }
    expect(text).toMatch(/^payalo_redis_up 1$/m);
    expect(text).toMatch(/^payalo_oldest_waiting_seconds \d/m);
    expect(text).toMatch(/^payalo_quarantine_entries \d/m);
  });

  test('describes every route in its OpenAPI document', async () => {
    const { json } = await call('/v1/openapi.json');
    // `npx vitest run test/ops/operator-api.test.ts -u` regenerates it.
    await expect(`${JSON.stringify(json, null, 2)}\n`).toMatchFileSnapshot('../../docs/reference/openapi.json');
    const { paths } = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) }).parse(json);
    expect(Object.keys(paths['/v1/callbacks/{gatewayReference}'] ?? {})).toEqual(['get', 'delete']);
    const others = ['/v1/replays', '/v1/quarantine', '/v1/expectations', '/v1/reconciliation', '/v1/openapi.json'];
    for (const path of ['/v1/callbacks', ...others]) expect(paths).toHaveProperty([path]);
  });

  test('links its operations to existing ones, by parameters that those accept', async () => {
    const { json } = await call('/v1/openapi.json');
    const operation = z.object({
      operationId: z.string(),
      parameters: z.array(z.object({ name: z.string() })).default([]),
      responses: z.record(
        z.string(),
        z.object({
          links: z
            .record(z.string(), z.object({ operationId: z.string(), parameters: z.record(z.string(), z.string()) }))
            .default({}),
        }),
      ),
    });
    const { paths } = z.object({ paths: z.record(z.string(), z.record(z.string(), operation)) }).parse(json);
    const operations = Object.values(paths).flatMap((ofPath) => Object.values(ofPath));
    const taken = new Map(operations.map(({ operationId, parameters }) => [operationId, parameters]));
    expect(taken.size).toBe(operations.length);
    const links = operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap((response) => Object.values(response.links)),
    );
    expect(links.length).toBeGreaterThanOrEqual(6);
    for (const { operationId, parameters } of links)
      expect(taken.get(operationId)?.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(parameters)));
  });

  test.each([
    ['POST', '/v1/report.csv', 'GET, HEAD'],
    ['PUT', '/v1/callbacks', 'GET, HEAD'],
    ['POST', '/v1/callbacks/some-reference', 'DELETE, GET, HEAD'],
    ['GET', '/v1/callbacks/some-reference/replay', 'POST'],
    ['HEAD', '/v1/replays', 'POST'],
    ['OPTIONS', '/v1/expectations', 'POST'],
    ['DELETE', '/v1/openapi.json', 'GET, HEAD'],
  ])('answers 405 to %s %s, and Allow: %s', async (method, path, allow) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = method === 'PUT' ? { body: '{' } : {};
    const answer = await fetch(service.opsUrl + path, { method, headers, ...body });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(allow);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect((await fetch(service.opsUrl + path, { method })).status).toBe(401);
  });

  test('sends the headers that keep a browser safe', async () => {
    const { headers } = await fetch(`${service.opsUrl}/v1/callbacks`);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).not.toContain('unsafe');
  });

  test('refuses a body that is not JSON, and unknown paths, with a problem document', async () => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${service.opsUrl}/v1/replays`, { method: 'POST', headers, body: '{' });
    expect(answer.status).toBe(400);
    expect((await call('/v1/nothing')).status).toBe(404);
  });
});

test('without a token it answers only under a loopback name', async () => {
  await using open = await startService({
    roles: ['work'],
    env: { REDIS_URL: redis.url, FORWARD_URL: 'http://127.0.0.1:9/' },
  });
  const ask = (host: string, headers: string[] = []) =>
    rawHttp(open.opsUrl, requestText('GET /v1/callbacks HTTP/1.1', [`Host: ${host}`, 'Connection: close', ...headers]));
  expect((await ask(new URL(open.opsUrl).host)).status).toBe(200);
  expect((await ask('localhost:3001')).status).toBe(200);
  expect((await ask('rebound.evil.example')).status).toBe(403);
});
