// The operator's HTTP server: security headers, authorization, routes, and errors as problem documents without secrets or
// stacks. Knows nothing about callbacks.
//
// Every route names what it needs; one hook checks that before anything else, and a route without it is refused at start.
import { fastifyHelmet } from '@fastify/helmet';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import * as z from 'zod';
import { createHttpConnections, listenerTimes } from '../../http/http-connections.ts';
import type { Log } from '../../telemetry/log.ts';
import type { OpsToken } from '../../config/ops-tokens.ts';
import { problem, problemContentType, type Problem } from '../../http/problem.ts';
import { clientAddress, createTrustedProxies } from '../../http/trusted-proxies.ts';
import type { Actor } from '../audit.ts';
import { withoutPersonalData } from '../masking.ts';
import { createAuthorize } from './authorize.ts';
import { openApi } from './openapi.ts';
import { askerOf, needs, type Asker, type Need } from './permissions.ts';
import { route, type Answer, type Route } from './route.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Required: without it the listener does not start. */
    readonly needs?: Need;
  }
}

/** A gatewayReference has up to 255 characters, each up to 12 when percent-encoded. */
const paramLengthMax = 255 * 12;
/** Fits a thousand expectations with the longest references. */
const bodyBytesMax = 1_048_576;

export interface OperatorServerDeps {
  readonly tokens: readonly OpsToken[];
  /** TRUST_PROXY. */
  readonly trustProxy: readonly string[];
  /** OPS_USER_HEADER, in lower case. */
  readonly userHeader: string | undefined;
  /** KEEP_ALIVE_TIMEOUT. */
  readonly idleMs: number;
  readonly log: Log;
}

/** Returns who asked; defined for every request that reached its handler. */
export type AskerOf = (request: FastifyRequest) => Asker;

export async function createOperatorServer(deps: OperatorServerDeps) {
  const { idleMs, log } = deps;
  const connections = createHttpConnections();
  const app = fastify({
    ...listenerTimes(idleMs),
    logger: false,
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: paramLengthMax },
    forceCloseConnections: true, // a console left open must not hold up the shutdown
    frameworkErrors: (_error, _request, reply) =>
      void sendProblem(reply, problem(400, 'bad-url', 'The URL is not valid.')),
    clientErrorHandler: (error, socket) => connections.failed(error, socket),
  });
  connections.tend(app, idleMs);
  app.addHook('onRequest', (request, _reply, done) => {
    connections.headersRead(request.raw);
    done();
  });
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy },
    referrerPolicy: { policy: 'same-origin' }, // with no-referrer, browsers would send `Origin: null` with forms
    strictTransportSecurity: false, // up to whoever terminates TLS
  });
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const parsed = parseJson(String(body));
    if (parsed === undefined) done(Object.assign(new SyntaxError('The body is not JSON.'), { statusCode: 400 }));
    else done(null, parsed.value);
  });
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, problem(404, 'not-found', 'There is nothing here.')));

  const permit = createPermit(deps);
  const askers = new WeakMap<FastifyRequest, Asker>();
  app.addHook('onRoute', ({ config, method, url }) => {
    if (!needs.some((need) => need === config?.needs)) throw new TypeError(`${String(method)} ${url} names no need`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const need = request.is404 ? 'nothing' : (request.routeOptions.config.needs ?? 'change');
    if (need === 'nothing') return undefined;
    const permitted = permit(request, need);
    if ('problem' in permitted) return sendProblem(reply, permitted.problem);
    askers.set(request, permitted.asker);
    return undefined;
  });
  const asker: AskerOf = (request) => {
    const found = askers.get(request);
    if (found === undefined) throw new TypeError('a route that needs nothing has no asker');
    return found;
  };

  function refuseOtherMethods(url: string, ofPath: readonly Route[]): void {
    const taken = new Set<string>(ofPath.map(({ method }) => method));
    if (taken.has('GET')) taken.add('HEAD');
    const allow = [...taken].toSorted().join(', ');
    app.route({
      method: app.supportedMethods.filter((method) => !taken.has(method)),
      url,
      config: { needs: 'token' },
      // Before the body is read, which may not be meant for us.
      async onRequest(_request, reply) {
        void reply.header('allow', allow);
        return sendProblem(reply, problem(405, 'method-not-allowed', `This path accepts only ${allow}.`));
      },
      handler: () => undefined,
    });
  }

  return {
    app,
    askerOf: asker,

    /** Serves the routes and their description at /v1/openapi.json; answers 405 to other methods on their paths. */
    serve(served: readonly Route[]): void {
      const routes = withDescription(served);
      for (const one of routes) {
        app.route({
          method: one.method,
          url: urlOf(one),
          config: { needs: one.needs },
          async handler(request, reply) {
            const { params, query, body } = request;
            const by = asker(request);
            const answer = await one.run({ params, query, body: body ?? {} }, by);
            if ('problem' in answer) return sendProblem(reply, answer.problem);
            if ('csv' in answer) return sendFile(reply, answer);
            if (by.mayReveal) return reply.code(answer.status).send(answer.body);
            void reply
              .code(answer.status)
              .type('application/json; charset=utf-8')
              .header('payalo-withheld', 'bodies, answers');
            return reply.send(JSON.stringify(answer.body, withoutPersonalData));
          },
        });
      }
      for (const [url, ofPath] of Map.groupBy(routes, urlOf)) refuseOtherMethods(url, ofPath);
    },
  };
}

type Permitted = { readonly asker: Asker } | { readonly problem: Problem };

function createPermit({ tokens, trustProxy, userHeader, log }: OperatorServerDeps) {
  const authorize = createAuthorize(tokens);
  const isTrusted = createTrustedProxies(trustProxy);

  function actorOf(request: FastifyRequest, token: string): Actor {
    const address = clientAddress(request, isTrusted);
    const user =
      userHeader !== undefined && isTrusted(request.socket.remoteAddress)
        ? userName(request.headers[userHeader])
        : undefined;
    return user === undefined ? { name: token, address } : { name: user, via: token, address };
  }

  return function permit(request: FastifyRequest, need: Need): Permitted {
    const { authorization, host, origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    const asking = { authorization, host, origin, fetchSite: typeof site === 'string' ? site : undefined };
    const changes = request.method !== 'GET' && request.method !== 'HEAD';
    const answer = authorize(asking, { changes, need });
    const address = clientAddress(request, isTrusted);
    switch (answer.kind) {
      case 'allowed':
        return { asker: askerOf(actorOf(request, answer.principal.name), answer.principal.may) };
      case 'unauthorized':
        if (authorization !== undefined) log.warn({ event: 'operator.unauthorized', address });
        return {
          problem: problem(401, 'unauthorized', 'Send a token of OPS_TOKEN as Bearer token or as Basic password.'),
        };
      case 'forbidden':
        log.warn({ event: 'operator.forbidden', address, reason: answer.reason });
        return { problem: problem(403, 'forbidden', forbidden[answer.reason]) };
    }
  };
}

const userCharactersMax = 128;

/** The proxy's text in UTF-8, which Node reads as Latin-1. */
function userName(value: string | string[] | undefined): string | undefined {
  const text = Buffer.from([value ?? ''].flat().join(', '), 'latin1').toString('utf8');
  return text.replaceAll(/\p{C}/gu, '').trim().slice(0, userCharactersMax) || undefined;
}

export function sendProblem(reply: FastifyReply, body: Problem) {
  if (body.status === 401) void reply.header('www-authenticate', 'Basic realm="payalo-receiver", charset="UTF-8"');
  return reply.code(body.status).type(problemContentType).send(body);
}

function sendFile(reply: FastifyReply, { csv, name }: Extract<Answer, { csv: unknown }>) {
  return reply
    .type('text/csv; charset=utf-8')
    .header('content-disposition', `attachment; filename="${name}"`)
    .send(csv);
}

/** In Fastify's notation. */
function urlOf({ path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function withDescription(routes: readonly Route[]): Route[] {
  const all: Route[] = [
    ...routes,
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      needs: 'token',
      summary: 'This document',
      input: z.object({}),
      answers: { 200: { description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) } },
      handle: async () => ({ status: 200, body: document }),
    }),
  ];
  const document = openApi(all);
  return all;
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
  everything: 'Nobody may do this.',
  read: 'This token may read everything and change nothing.',
  support: 'This token may read, without bodies and answers, and change nothing.',
  expect: 'This token may only register expectations.',
  host: 'Without OPS_TOKEN this listener answers only under a loopback name, such as http://127.0.0.1:3001/.',
  'cross-site': 'A request that changes something must not come from another site.',
} as const;

/** An error as a problem document; also for the console's pages. */
export function problemOf(error: unknown): Problem {
  const { code, statusCode } = errorFields(error);
  if (code === 'BAD_CURSOR') return problem(400, 'bad-cursor', 'The cursor does not come from a page.');
  if (statusCode !== undefined && statusCode < 500) {
    return problem(statusCode, 'bad-request', 'The request is not valid.');
  }
  // Any other error comes from Redis, whose errors have no common type.
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) {
    return problem(500, 'internal', 'An unexpected error; see the log line.');
  }
  return problem(503, 'redis-unavailable', 'Redis cannot be read now. Intake continues through the spool.');
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
