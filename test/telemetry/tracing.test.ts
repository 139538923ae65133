// Traces of the real service, received by a small OTLP server.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { startServiceProcess } from '../support/service-process.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const value = z.object({ stringValue: z.string() }).or(z.object({ intValue: z.number() }));
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  attributes: z.array(z.object({ key: z.string(), value })),
  status: z.object({ code: z.number() }),
});
const exportSchema = z.object({
  resourceSpans: z.array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })) })),
});

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const callerSpan = '00f067aa0ba902b7';
const given = `00-${traceId}-${callerSpan}-01`;

const { server: redis } = await withRedis();
let collector: Listener;
let merchant: Listener;
let exports: string[] = [];
let paths: (string | undefined)[] = [];
let tokens: unknown[] = [];
let delivered: (string | undefined)[] = [];
let merchantStatuses: number[] = [];
let collecting = true;

beforeAll(async () => {
  collector = await listen((request, body, answer) => {
    exports.push(body);
    paths.push(request.url);
    tokens.push(request.headers['x-token']);
    if (collecting) answer(200);
  });
  merchant = await listen((request, _body, answer) => {
    delivered.push(request.headers['traceparent']?.toString());
    answer(merchantStatuses.shift() ?? 200);
  });
});

beforeEach(() => {
  exports = [];
  paths = [];
  tokens = [];
  delivered = [];
  collecting = true;
});

afterAll(async () => {
  for (const { server } of [collector, merchant]) {
    server.closeAllConnections();
    server.close();
  }
});

test('holds one trace from the request over the queue to the merchant, and sends it at shutdown', async () => {
  await using service = await start({ TRUST_PROXY: '127.0.0.1', FORWARD_RETRIES: '1ms' });
  const reference = newReference();
  merchantStatuses = [500];
  expect(await send(service, reference, given)).toBe(200);
  await until(() => delivered.length === 2);
  expect((await service.stop()).code).toBe(0);

  expect(new Set(paths)).toEqual(new Set(['/v1/traces']));
  const spans = sentSpans();
  expect(spans.map(({ name }) => name)).toEqual(['callback.receive', 'callback.deliver', 'callback.deliver']);
  const [receive, first, second] = spans;
  expect(receive).toMatchObject({ traceId, parentSpanId: callerSpan, kind: 2 });
  expect(receive?.attributes).toMatchObject({
    'payalo.gateway_reference': reference,
    'payalo.brand': 'default',
    'payalo.status': 'success',
    'payalo.outcome': 'queued',
    'http.response.status_code': 200,
  });
  const parentSpanId = receive?.spanId;
  expect(first).toMatchObject({ traceId, parentSpanId, status: { code: 2 } });
  expect(first?.attributes).toMatchObject({ 'payalo.attempt': 1, 'http.response.status_code': 500 });
  expect(second).toMatchObject({ traceId, parentSpanId, kind: 3, status: { code: 0 } });
  expect(second?.attributes).toMatchObject({ 'payalo.attempt': 2, 'http.response.status_code': 200 });
  expect(delivered).toEqual([first, second].map((span) => `00-${traceId}-${span?.spanId}-01`));

  const text = exports.join('');
  for (const hidden of ['quickstart-001', 'mpesa', testKey]) expect(text).not.toContain(hidden);
});

test('continues only a trusted proxy’s trace', async () => {
  await using service = await start({});
  await send(service, newReference(), given);
  await until(() => delivered.length === 1);
  await service.stop();
  const [receive, deliver] = sentSpans();
  expect(receive?.traceId).not.toBe(traceId);
  expect(receive?.parentSpanId ?? '').toBe('');
  expect(deliver).toMatchObject({ traceId: receive?.traceId, parentSpanId: receive?.spanId });
});

test('respects a caller that does not sample, and passes that on', async () => {
  await using service = await start({ TRUST_PROXY: '127.0.0.1' });
  await send(service, newReference(), given.replace(/1$/, '0'));
  await until(() => delivered.length === 1);
  await service.stop();
  expect(delivered[0]).toMatch(new RegExp(`^00-${traceId}-[\\da-f]{16}-00$`));
  expect(sentSpans()).toEqual([]);
});

test('delivers and ends in time although the collector never answers', async () => {
  collecting = false;
  await using service = await start({ SHUTDOWN_TIMEOUT: '3s' });
  expect(await send(service, newReference())).toBe(200);
  await until(() => delivered.length === 1);
  expect((await service.stop()).code).toBe(0);
});

test('applies the standard variables, from `.env` and from a secret’s file as well', async () => {
  const dir = await makeTempDir('traces');
  writeFileSync(path.join(dir, 'headers'), 'x-token=from%20a%20file\n');
  writeFileSync(
    path.join(dir, '.env'),
    `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1
     OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=${collector.url}/own/path
     OTEL_EXPORTER_OTLP_HEADERS_FILE=headers
     OTEL_SERVICE_NAME=shop-callbacks
     OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=try
     OTEL_BSP_SCHEDULE_DELAY=50`.replaceAll(/^ +/gm, ''),
  );
  const service = await startServiceProcess({
    cwd: dir,
    env: { ...basics(), HOST: '127.0.0.1', PORT: '0', OPS_PORT: '0' },
  });
  try {
    await send(service, newReference());
    await until(() => exports.length > 0);
  } finally {
    await service.stop();
  }
  expect(new Set(paths)).toEqual(new Set(['/own/path']));
  expect(new Set(tokens)).toEqual(new Set(['from a file']));
  const text = exports.join('');
  for (const said of ['shop-callbacks', 'deployment.environment.name']) expect(text).toContain(said);
});

test('drops traces by the sampler’s decision, except those of a caller that samples', async () => {
  await using service = await start({ TRUST_PROXY: '127.0.0.1', OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
  await send(service, newReference());
  await send(service, newReference(), given);
  await until(() => delivered.length === 2);
  await service.stop();
  expect(new Set(sentSpans().map((span) => span.traceId))).toEqual(new Set([traceId]));
});

// Tells on stderr what is resolved from OpenTelemetry. (prom-client loads its API, a stub without an SDK, by itself.)
const tattle = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  if (specifier.startsWith('@opentelemetry/') && !context.parentURL?.includes('/prom-client/')) process.stderr.write('loaded ' + specifier + '\\n');
  return next(specifier, context);
} });`;
const nodeFlags = ['--import', `data:text/javascript,${encodeURIComponent(tattle)}`];

test.for([{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, { OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }])(
  'loads nothing of OpenTelemetry and passes no trace on with %j',
  async (off) => {
    await using service = await start({ TRUST_PROXY: '127.0.0.1', ...off }, nodeFlags);
    await send(service, newReference(), given);
    await until(() => delivered.length === 1);
    await service.stop();
    expect(delivered).toEqual([undefined]);
    expect(service.output()).not.toContain('loaded @opentelemetry/');
  },
);

test('would detect that it is loaded', async () => {
  await using service = await start({}, nodeFlags);
  await until(() => service.output().includes('loaded @opentelemetry/sdk-trace'));
});

async function start(env: Record<string, string>, flags: string[] = []): Promise<TestService> {
  return startService({
    nodeFlags: flags,
    env: { ...basics(), OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`, ...env },
  });
}

function basics(): Record<string, string> {
  return {
    REDIS_URL: redis.url,
    PAYALO_API_KEYS: testKey,
    FORWARD_URL: `${merchant.url}/hook`,
    SHUTDOWN_TIMEOUT: '2s',
  };
}

async function send(service: Pick<TestService, 'url'>, reference: string, traceparent?: string): Promise<number> {
  const headers = { 'x-api-key': testKey, ...(traceparent !== undefined && { traceparent }) };
  const body = callbackBody({ reference });
  return (await fetch(`${service.url}/webhooks/payalo`, { method: 'POST', headers, body })).status;
}

/** In the order in which they began. */
function sentSpans() {
  return exports
    .flatMap((text) => exportSchema.parse(JSON.parse(text)).resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap(({ spans }) => spans)
    .map((span) => ({
      ...span,
      attributes: Object.fromEntries(span.attributes.map(({ key, value: of }) => [key, Object.values(of)[0]])),
    }))
    .toSorted((a, b) => Number(b.name === 'callback.receive') - Number(a.name === 'callback.receive'));
}

interface Listener {
  readonly server: Server;
  readonly url: string;
}

async function listen(
  take: (request: IncomingMessage, body: string, answer: (status: number) => void) => void,
): Promise<Listener> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () =>
      take(request, body, (status) => response.writeHead(status, { 'content-type': 'application/json' }).end('{}')),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return { server, url: `http://127.0.0.1:${port}` };
}
