// The operator's HTTP server: security headers, authorization, routes, and errors as problem documents without a secret
// or a stack. Knows nothing of callbacks.
import { fastifyHelmet } from '@fastify/helmet';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Log } from '../runtime/log.ts';
import type { OpsToken } from '../runtime/ops-tokens.ts';
import { problem, problemContentType, type Problem } from '../runtime/problem.ts';
import type { Actor } from './audit.ts';
import { createAuthorize } from './authorize.ts';
import { openApi } from './openapi.ts';
import type { Route } from './route.ts';

/** A gatewayReference has up to 255 characters, each up to 12 when percent-encoded. */
const paramLengthMax = 255 * 12;
/** What an operator sends is small; a body it is not. */
const bodyBytesMax = 65_536;

export interface OperatorServerDeps {
  readonly tokens: readonly OpsToken[];
  readonly log: Log;
}

export type Permit = (request: FastifyRequest, wanted: { expecting: boolean }) => PermitAnswer;

export type PermitAnswer = { readonly actor: Actor } | { readonly problem: Problem };

export async function createOperatorServer({ tokens, log }: OperatorServerDeps) {
  const authorize = createAuthorize(tokens);
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
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const parsed = parseJson(String(body));
    if (parsed === undefined) done(Object.assign(new SyntaxError('The body is not JSON.'), { statusCode: 400 }));
    else done(null, parsed.value);
  });
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, problem(404, 'not-found', 'There is nothing here.')));

  const permit: Permit = (request, { expecting }) => {
    const { authorization, host, origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    const asking = { authorization, host, origin, fetchSite: typeof site === 'string' ? site : undefined };
    const changes = request.method !== 'GET' && request.method !== 'HEAD';
    const answer = authorize(asking, { changes, expecting });
    switch (answer.kind) {
      case 'allowed':
        return { actor: { name: answer.principal.name, address: request.ip } };
      case 'unauthorized':
        if (authorization !== undefined) log.warn({ event: 'operator.unauthorized', address: request.ip });
        return {
          problem: problem(401, 'unauthorized', 'Send a token of OPS_TOKEN as Bearer token or as Basic password.'),
        };
      case 'forbidden':
        log.warn({ event: 'operator.forbidden', address: request.ip, reason: answer.reason });
        return { problem: problem(403, 'forbidden', forbidden[answer.reason]) };
    }
  };

  return {
    app,
    permit,

    /** Serves the routes and, at /v1/openapi.json, their description. */
    serve(routes: readonly Route[]): void {
      for (const route of routes) {
        app.route({
          method: route.method,
          url: route.path.replaceAll(/\{(\w+)\}/g, ':$1'),
          async handler(request, reply) {
            const permitted = permit(request, { expecting: route.expecting ?? false });
            if ('problem' in permitted) return sendProblem(reply, permitted.problem);
            const { params, query, body } = request;
            const answer = await route.run({ params, query, body: body ?? {} }, permitted.actor);
            if ('problem' in answer) return sendProblem(reply, answer.problem);
            return reply.code(answer.status).send(answer.body);
          },
        });
      }
      const document = openApi(routes);
      app.get('/v1/openapi.json', async (request, reply) => {
        const permitted = permit(request, { expecting: true });
        return 'problem' in permitted ? sendProblem(reply, permitted.problem) : document;
      });
    },
  };
}

export type OperatorServer = Awaited<ReturnType<typeof createOperatorServer>>;

export function sendProblem(reply: FastifyReply, body: Problem) {
  if (body.status === 401) void reply.header('www-authenticate', 'Basic realm="payalo-receiver", charset="UTF-8"');
  return reply.code(body.status).type(problemContentType).send(body);
}

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

/** What went wrong, as a problem document; also for the console's pages. */
export function problemOf(error: unknown): Problem {
  const { code, statusCode } = errorFields(error);
  if (code === 'BAD_CURSOR') return problem(400, 'bad-cursor', 'The cursor is not one that a page gave.');
  if (statusCode !== undefined && statusCode < 500) {
    return problem(statusCode, 'bad-request', 'The request is not valid.');
  }
  // Whatever is not a mistake of ours came from Redis, whose errors have no common type.
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) {
    return problem(500, 'internal', 'An unexpected error; the log line has more.');
  }
  return problem(503, 'redis-unavailable', 'Redis cannot be read now. Intake goes on through the spool.');
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const body = problemOf(error);
  if (body.status >= 500) {
    log.error({ event: 'operator.error', method: request.method, route: request.routeOptions.url, err: error });
  }
  return sendProblem(reply, body);
}

function errorFields(error: unknown): { code: unknown; statusCode: number | undefined } {
  if (!(error instanceof Error)) return { code: undefined, statusCode: undefined };
  const statusCode = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined;
  return { code: 'code' in error ? error.code : undefined, statusCode };
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: text.trim() === '' ? {} : JSON.parse(text) };
  } catch {
    return undefined;
  }
}
