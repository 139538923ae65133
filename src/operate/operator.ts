// The operator listener: /metrics, /livez, /readyz, the API below /v1, and the console at /.
//
// Everything below /v1 and the console needs a token where OPS_TOKEN is set; probes and metrics never do. Errors are
// problem documents without a secret or a stack. While Redis is away the listener stays up and says 503 where it cannot
// answer.
import { fastifyHelmet } from '@fastify/helmet';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import { brandQueue } from '../queue/brand-queue.ts';
import type { RedisConnection } from '../queue/connections.ts';
import { createLedger, type LedgerDeps } from '../queue/ledger.ts';
import type { Config } from '../runtime/config.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { problem, problemContentType, type Problem } from '../runtime/problem.ts';
import { createAuthorize, type Principal } from './authorize.ts';
import { callbackRoutes } from './callback-routes.ts';
import { openApi } from './openapi.ts';
import { createQueueGauges } from './queue-gauges.ts';
import { createQueueState } from './queue-state.ts';
import type { Route } from './route.ts';

export interface OperatorDeps {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of the producer profile, with a command timeout of a few seconds. Its owner closes it. */
  readonly redis: RedisConnection;
  /** Whether this process can do its work now; what /readyz answers. */
  readonly isReady: () => boolean;
  readonly findSpooled?: NonNullable<LedgerDeps['findSpooled']>;
}

/** A gatewayReference has up to 255 characters, each up to 12 when percent-encoded. */
const paramLengthMax = 255 * 12;
/** What an operator sends is small; a body it is not. */
const bodyBytesMax = 65_536;

export async function createOperator(deps: OperatorDeps) {
  const { config, log, metrics, redis, isReady, findSpooled } = deps;
  const queues = new Map([...config.brands.keys()].map((brand) => [brand, brandQueue(brand, config)]));
  const ledger = createLedger({ redis, queues, ...(findSpooled && { findSpooled }) });
  const queueState = createQueueState({ redis, queues });
  const refreshGauges = createQueueGauges({ queueState, metrics, log });
  const authorize = createAuthorize(config.opsTokens);
  const routes: Route[] = callbackRoutes({ ledger });

  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: paramLengthMax },
    forceCloseConnections: true, // a console left open must not hold up the shutdown
    frameworkErrors: (_error, _request, reply) =>
      void sendProblem(reply, problem(400, 'bad-url', 'The URL is not valid.')),
  });
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
    referrerPolicy: { policy: 'same-origin' }, // with no-referrer, browsers would send `Origin: null` with forms
    strictTransportSecurity: false, // for whoever terminates TLS to decide
  });

  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, problem(404, 'not-found', 'There is nothing here.')));

  app.get('/livez', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) =>
    isReady()
      ? { status: 'ok' }
      : sendProblem(reply, problem(503, 'not-ready', 'The service cannot take callbacks now.')),
  );
  app.get('/metrics', async (_request, reply) => {
    await refreshGauges();
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  function permit(request: FastifyRequest, expecting: boolean): Principal | Problem {
    const { authorization, host, origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    const answer = authorize(
      { authorization, host, origin, fetchSite: typeof site === 'string' ? site : undefined },
      { changes: request.method !== 'GET' && request.method !== 'HEAD', expecting },
    );
    switch (answer.kind) {
      case 'allowed':
        return answer.principal;
      case 'unauthorized':
        log.warn({ event: 'operator.unauthorized', address: request.ip });
        return problem(401, 'unauthorized', 'Send a token of OPS_TOKEN as Bearer token or Basic password.');
      case 'forbidden':
        log.warn({ event: 'operator.forbidden', address: request.ip, reason: answer.reason });
        return problem(403, 'forbidden', forbidden[answer.reason]);
    }
  }

  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      async handler(request, reply) {
        const principal = permit(request, route.expecting ?? false);
        if ('status' in principal) return sendProblem(reply, principal);
        const { params, query, body } = request;
        const answer = await route.run(
          { params, query, body: body ?? {} },
          { name: principal.name, address: request.ip },
        );
        if ('problem' in answer) return sendProblem(reply, answer.problem);
        return reply.code(answer.status).send(answer.body);
      },
    });
  }
  const document = openApi(routes);
  app.get('/v1/openapi.json', async (request, reply) => {
    const principal = permit(request, false);
    return 'status' in principal ? sendProblem(reply, principal) : document;
  });

  return {
    async listen(): Promise<{ host: string; port: number }> {
      await app.listen({ host: config.OPS_HOST, port: config.OPS_PORT });
      const address = app.server.address();
      return {
        host: config.OPS_HOST,
        port: typeof address === 'object' && address !== null ? address.port : config.OPS_PORT,
      };
    },

    async close(): Promise<void> {
      await app.close();
    },
  };
}

export type Operator = Awaited<ReturnType<typeof createOperator>>;

const contentSecurityPolicy = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'"],
  connectSrc: ["'self'"],
  formAction: ["'self'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
};

const forbidden = {
  token: 'This token may only register expectations.',
  host: 'Without OPS_TOKEN this listener answers under a loopback name only, such as http://127.0.0.1:3001/.',
  'cross-site': 'A request that changes something must not come from another site.',
} as const;

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const { code, statusCode } = errorFields(error);
  if (code === 'BAD_CURSOR')
    return sendProblem(reply, problem(400, 'bad-cursor', 'The cursor is not one that a page gave.'));
  if (statusCode !== undefined && statusCode < 500) {
    return sendProblem(reply, problem(statusCode, 'bad-request', 'The request is not valid.'));
  }
  log.error({ event: 'operator.error', method: request.method, route: request.routeOptions.url, err: error });
  // Whatever is not a mistake of ours came from Redis, whose errors have no common type.
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) {
    return sendProblem(reply, problem(500, 'internal', 'An unexpected error; the log line has more.'));
  }
  return sendProblem(
    reply,
    problem(503, 'redis-unavailable', 'Redis cannot be read now. Intake goes on through the spool.'),
  );
}

function errorFields(error: unknown): { code: unknown; statusCode: number | undefined } {
  if (!(error instanceof Error)) return { code: undefined, statusCode: undefined };
  const statusCode = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined;
  return { code: 'code' in error ? error.code : undefined, statusCode };
}

function sendProblem(reply: FastifyReply, body: Problem) {
  if (body.status === 401) void reply.header('www-authenticate', 'Basic realm="payalo-receiver", charset="UTF-8"');
  return reply.code(body.status).type(problemContentType).send(body);
}
