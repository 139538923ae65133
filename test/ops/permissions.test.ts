// Who may do and see what: each kind of token over every route, page and form of the operator's listener.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createOperatorServer } from '../../src/ops/api/operator-server.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const tokens = {
  everything: 'everything-token-0123456789',
  read: 'read-token-0123456789',
  support: 'support-token-0123456789',
  expect: 'expect-token-0123456789',
} as const;
type Right = keyof typeof tokens;
const rights = ['everything', 'read', 'support', 'expect'] as const;

/** What each token may; x-needs of the OpenAPI document. */
const may: Readonly<Record<Right, readonly string[]>> = {
  everything: ['token', 'read', 'change', 'expect'],
  read: ['token', 'read'],
  support: ['token', 'read'],
  expect: ['token', 'expect'],
};

const phone = '254700111222';
const answer = `no account of ${phone}`;

const { server: redis } = await withRedis();
let service: TestService;
let merchant: Server;
let reference: string;
let quarantineId: string;

beforeAll(async () => {
  merchant = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(500).end(answer));
  });
  merchant.listen(0, '127.0.0.1');
  await once(merchant, 'listening');
  const { port } = z.object({ port: z.number() }).parse(merchant.address());
  service = await startService({
    env: {
      REDIS_URL: redis.url,
      PAYALO_API_KEYS: testKey,
      FORWARD_URL: `http://127.0.0.1:${port}/hook`,
      FORWARD_RETRIES: '10ms',
      OPS_TOKEN: `amina=${tokens.everything},ben:read=${tokens.read},sam:support=${tokens.support},shop:expect=${tokens.expect}`,
      TRUST_PROXY: '127.0.0.1',
      OPS_USER_HEADER: 'X-Forwarded-User',
    },
  });
  reference = newReference();
  await receive(withPhone(callbackBody({ reference })));
  await until(async () => (await json(`/v1/callbacks/${reference}`))['state'] === 'failed');
  await receive(withPhone(callbackBody({ reference, amount: '7.00' }))); // a conflict
  await receive(`{"payer":"${phone}"}`); // quarantined
  const page = z.looseObject({ data: z.array(z.looseObject({ id: z.string(), reason: z.string() })) });
  const { data } = page.parse(await json('/v1/quarantine'));
  quarantineId = data.find(({ reason }) => reason === 'bad-reference')?.id ?? '';
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  merchant.close();
});

const withPhone = (body: string) => body.replace('"country"', `"payer": { "msisdn": "${phone}" }, "country"`);

async function receive(body: string): Promise<void> {
  await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers: { 'x-api-key': testKey }, body });
}

interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

function ask(right: Right, path: string, init: Sent = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${tokens[right]}`, ...init.headers };
  return fetch(service.opsUrl + path, { redirect: 'manual', ...init, headers });
}

async function json(path: string): Promise<Record<string, unknown>> {
  return z.record(z.string(), z.unknown()).parse(await (await ask('everything', path)).json());
}

const paths = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.object({ 'x-needs': z.string() }))),
});

/** Every route of the API, from its OpenAPI document. */
async function routes(): Promise<{ method: string; path: string; needs: string }[]> {
  const document = paths.parse(await json('/v1/openapi.json'));
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, one]) => ({ method: method.toUpperCase(), path, needs: one['x-needs'] })),
  );
}

const filled = (path: string, one: string) =>
  path.replace('{gatewayReference}', one).replace('{id}', one === reference ? quarantineId : one);

const pages = () => [
  '/',
  '/callbacks',
  '/callbacks?state=failed',
  `/callbacks/${reference}`,
  '/quarantine',
  `/quarantine/${quarantineId}`,
  '/reconciliation',
  '/activity',
  '/search?q=nothing',
];

/** Where the forms of a page lead. */
async function formsOf(right: Right, path: string): Promise<string[]> {
  const text = await (await ask(right, path)).text();
  return [...text.matchAll(/<form[^>]*method="post"[^>]*action="([^"]+)"/g)].map(([, action = '']) =>
    action.replaceAll('&amp;', '&'),
  );
}

describe('the API', () => {
  test('needs the right to change for everything but GET, except expectations', async () => {
    for (const { method, path, needs } of await routes()) {
      const expected =
        method !== 'GET'
          ? path === '/v1/expectations'
            ? 'expect'
            : 'change'
          : path === '/v1/openapi.json'
            ? 'token'
            : 'read';
      expect({ path, needs }).toEqual({ path, needs: expected });
    }
  });

  test('answers 403 on every route that a token may not use, 401 without a token, and otherwise neither', async () => {
    for (const { method, path, needs } of await routes()) {
      const url = filled(path, 'never-there');
      const bare = await fetch(service.opsUrl + url, { method });
      expect({ method, path, status: bare.status }).toMatchObject({ status: 401 });
      for (const right of rights) {
        const { status } = await ask(right, url, { method });
        const isRefused = status === 403 || status === 401;
        expect({ right, method, path, isRefused }).toEqual({
          right,
          method,
          path,
          isRefused: !may[right].includes(needs),
        });
      }
    }
    expect((await ask('expect', '/v1/callbacks', { method: 'HEAD' })).status).toBe(403);
    expect((await fetch(`${service.opsUrl}/v1/callbacks`, { method: 'HEAD' })).status).toBe(401);
    expect((await ask('everything', '/v1/forwarding/resume', { method: 'POST' })).status).toBe(200);
  });

  test('gives the report as CSV only to those who may read', async () => {
    const path = '/v1/report.csv?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z';
    for (const right of ['everything', 'read', 'support'] as const)
      // This service has no gateway.
      for (const asked of [path, `${path}&transactions=true`])
        expect([right, (await ask(right, asked)).status]).toEqual([right, 422]);
    expect((await ask('expect', path)).status).toBe(403);
  });

  test('hides bodies and answers from support on every route, and says so; other readers see them', async () => {
    for (const { method, path } of await routes()) {
      if (method !== 'GET') continue;
      // The report needs a period, and a gateway: a problem document contains no personal data.
      const [status, withheld] = path.startsWith('/v1/report') ? [422, null] : [200, 'bodies, answers'];
      const response = await ask('support', filled(path, reference));
      const text = await response.text();
      expect({ path, status: response.status, leaks: text.includes(phone) }).toEqual({
        path,
        status,
        leaks: false,
      });
      expect(response.headers.get('payalo-withheld')).toBe(withheld);
      expect(text).not.toMatch(/"(?:body|bodyBase64|answer)":/);
    }
    for (const right of ['everything', 'read'] as const) {
      const response = await ask(right, `/v1/callbacks/${reference}`);
      const text = await response.text();
      expect(response.headers.get('payalo-withheld')).toBeNull();
      expect(text).toContain(answer);
      expect(text).toContain(`\\"msisdn\\": \\"${phone}`);
    }
    const seen = await (await ask('support', `/v1/callbacks/${reference}`)).json();
    expect(seen).toMatchObject({
      state: 'failed',
      amount: { value: '100.00', currency: 'KES' },
      attempts: [{ status: 500 }, { status: 500 }],
      failedReason: 'HTTP 500, the last of 2 attempts',
    });
  });
});

describe('the console', () => {
  test('shows forms only to those who may change something, and accepts no others', async () => {
    for (const path of pages()) {
      for (const right of ['read', 'support'] as const) {
        expect({ right, path, forms: await formsOf(right, path) }).toEqual({ right, path, forms: [] });
      }
      for (const action of await formsOf('everything', path)) {
        for (const right of ['read', 'support', 'expect'] as const) {
          const { status } = await ask(right, action, { method: 'POST' });
          expect({ right, action, status }).toEqual({ right, action, status: 403 });
        }
      }
    }
    const actions = await Promise.all(pages().map((path) => formsOf('everything', path)));
    expect(actions.flat().length).toBeGreaterThanOrEqual(6);
  });

  test('shows support every page without bodies and answers, and says what is missing', async () => {
    for (const path of pages()) {
      const response = await ask('support', path);
      const text = (await response.text()).replaceAll(/\s+/g, ' ');
      expect({ path, status: response.status, leaks: text.includes(phone) }).toMatchObject({ leaks: false });
      expect(text).toContain('sam may view everything but bodies and answers, and change nothing');
    }
    for (const path of [`/callbacks/${reference}`, `/quarantine/${quarantineId}`]) {
      expect(await (await ask('support', path)).text()).toContain('is not shown to this token');
      expect(await (await ask('read', path)).text()).toContain(phone);
    }
  });

  test('shows a token for expectations nothing', async () => {
    for (const path of pages()) expect((await ask('expect', path)).status).toBe(403);
  });
});

describe('a user named by a proxy', () => {
  test('appears in the audit trail and in the log, beside the token', async () => {
    const headers = { 'x-forwarded-user': 'zoë@example.com', 'x-forwarded-for': '203.0.113.9' };
    const asLatin1 = Buffer.from(headers['x-forwarded-user']).toString('latin1');
    await ask('everything', '/v1/forwarding/resume', {
      method: 'POST',
      headers: { ...headers, 'x-forwarded-user': asLatin1 },
    });
    const [entry] = z.array(z.unknown()).parse((await json('/v1/audit?limit=1'))['data']);
    expect(entry).toMatchObject({ by: 'zoë@example.com', via: 'amina', address: '203.0.113.9' });
    expect(await (await ask('read', '/activity')).text()).toContain('through amina');
  });

  test('needs a token all the same', async () => {
    const { status } = await fetch(`${service.opsUrl}/v1/audit`, { headers: { 'x-forwarded-user': 'zoe' } });
    expect(status).toBe(401);
  });
});

describe('the listener', () => {
  const server = () =>
    createOperatorServer({
      tokens: [{ name: 'amina', token: tokens.everything, may: 'everything' }],
      trustProxy: ['10.0.0.1'],
      userHeader: 'x-user',
      idleMs: 1_000,
      log: createLog({ level: 'silent' }),
    });

  test('does not start with a route that names no need', async () => {
    const { app } = await server();
    expect(() => app.get('/open', async () => 'everybody')).toThrow(/names no need/);
  });

  test('trusts a user’s name only from the proxies, and uses the token’s for any other address', async () => {
    const { app, askerOf } = await server();
    app.get('/who', { config: { needs: 'read' } }, async (request) => askerOf(request));
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const headers = { authorization: `Bearer ${tokens.everything}`, 'x-user': 'zoe', 'x-forwarded-for': '10.0.0.1' };
    const who = z.record(z.string(), z.unknown()).parse(await (await fetch(`${url}/who`, { headers })).json());
    await app.close();
    expect(who).toMatchObject({ name: 'amina', address: '127.0.0.1' });
    expect(who).not.toHaveProperty('via');
  });
});
