// The public listener: CALLBACK_PATH, /livez and /readyz, and nothing else.
//
// A key is checked before the body is read. A genuine callback is refused for only one reason of ours: neither Redis nor the
// spool can take it. Every error is a problem document without secrets or stacks.
import rateLimit from '@fastify/rate-limit';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Config } from '../config/config.ts';
import { createHttpConnections, lingerAfterAnswer, listenerTimes } from '../http/http-connections.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { problem, problemContentType, type Problem } from '../http/problem.ts';
import { cannotListen } from '../http/listen-error.ts';
import { createApiKeys } from './api-keys.ts';
import { decodeBody } from './decode-body.ts';
import { createReceiveCallback, type ReceiveDependencies } from './receive-callback.ts';
import { createRequestIds } from './request-id.ts';
import { clientAddress, clientNetwork, createTrustedProxies } from '../http/trusted-proxies.ts';
import { watchApiKeys } from './watch-api-keys.ts';

/** The headers of a callback take a few hundred bytes. */
const headerBytesMax = 16_384;
const retryAfterSeconds = '5';
const noBody = Buffer.alloc(0);

export interface ReceiverDependencies extends ReceiveDependencies {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether a callback could be stored durably now. */
  readonly canStore: () => boolean;
}

export async function createReceiver(dependencies: ReceiverDependencies) {
  const { config, log, metrics, canStore } = dependencies;
  const { CALLBACK_PATH } = config;
  const apiKeys = createApiKeys(new Map([...config.brands].map(([name, { apiKeys: keys }]) => [name, keys])));
  const receiveCallback = createReceiveCallback(dependencies);
  const isTrusted = createTrustedProxies(config.TRUST_PROXY);
  let draining = false;
  const watches: (() => void)[] = [];
  const connections = createHttpConnections(() => metrics.callbacks.inc({ outcome: 'rejected' }));

  const times = listenerTimes(config.KEEP_ALIVE_TIMEOUT);
  const app = fastify({
    ...times,
    logger: false, // receive-callback.ts writes one wide line per callback
    bodyLimit: config.BODY_LIMIT,
    genReqId: createRequestIds(isTrusted),
    http: {
      ...times.http,
      maxHeaderSize: headerBytesMax,
      requireHostHeader: false, // Node would send an empty 400, and a callback does not need it
    },
    return503OnClosing: false, // callbacks that arrive while closing are stored like any other
    routerOptions: { ignoreTrailingSlash: true, caseSensitive: true },
    frameworkErrors: (_error, request, reply) => void sendProblem(request, reply, notFound),
    clientErrorHandler: (error, socket) => connections.failed(error, socket),
  });
  connections.tend(app, config.KEEP_ALIVE_TIMEOUT);
  // Node would refuse an unknown `Expect` header with an empty 417.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  await app.register(rateLimit, { global: false });
  const countFailure = app.createRateLimit({
    max: config.AUTH_FAILURES_PER_MINUTE,
    timeWindow: 60_000,
    keyGenerator: (request) => clientNetwork(clientAddress(request.raw, isTrusted)),
  });

  // Hooks with a callback: an async hook would cost every callback a promise.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    // Answered here, before any of the body is read.
    if (request.is404) return void answerUnknown(request, reply);
    connections.headersRead(request.raw);
    done();
  });

  // Checked when the answer is sent: a request that was in flight when draining began must not keep its connection.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining) reply.header('connection', 'close');
    done();
  });

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    if (error.statusCode === 413) return refuseTooLarge(request, reply);
    if (error.statusCode !== undefined && error.statusCode < 500) {
      metrics.callbacks.inc({ outcome: 'rejected' });
      return sendProblem(request, reply, problem(400, 'bad-request', 'The request is not valid HTTP.'), {
        close: true,
      });
    }
    log.error({ event: 'callback.failed', requestId: request.id, err: error });
    return sendProblem(request, reply, problem(500, 'internal', 'An unexpected error; see the log line.'));
  });

  app.setNotFoundHandler(answerUnknown);

  app.get('/livez', async (_request, reply) => sendJson(reply, '{"status":"ok"}'));
  app.get('/readyz', async (request, reply) => {
    if (draining) return sendProblem(request, reply, problem(503, 'draining', 'The service is shutting down.'));
    if (!canStore()) {
      return sendProblem(request, reply, problem(503, 'not-ready', 'Neither Redis nor the spool can take a callback.'));
    }
    return sendJson(reply, '{"status":"ok"}');
  });

  app.post<{ Body: Buffer | undefined }>(CALLBACK_PATH, { onRequest: authenticate }, async (request, reply) => {
    const raw = decodeBody(request.body ?? noBody, request.headers['content-encoding'], config.BODY_LIMIT);
    if (raw === undefined) return refuseTooLarge(request, reply);
    const answer = await receiveCallback({
      brand: request.getDecorator<string>('brand'),
      requestId: request.id,
      raw,
      headers: request.headers,
      traceparent: dependencies.tracing && trustedTraceparent(request),
    });
    if (answer.status === 200) return sendJson(reply, answer.body);
    if (answer.status === 503) reply.header('retry-after', retryAfterSeconds);
    return sendProblem(request, reply, answer.problem);
  });

  app.decorateRequest('brand', '');

  function authenticate(request: FastifyRequest, reply: FastifyReply, done: () => void) {
    const brand = apiKeys.brandOf(request.headers['x-api-key']);
    if (brand === undefined) {
      refuse(request, reply).catch((error: unknown) => reply.send(error));
      return;
    }
    request.setDecorator('brand', brand);
    // The body is read as it comes, whatever its Content-Type: Fastify would refuse a malformed one. (Deleting the header
    // would make the object slow for later reads.)
    request.raw.headers['content-type'] = undefined;
    done();
  }

  /** As with the request id: a client that may choose the trace could hide a request in another trace. */
  function trustedTraceparent({ raw: { socket, headers } }: FastifyRequest): string | undefined {
    const given = isTrusted(socket.remoteAddress) ? headers['traceparent'] : undefined;
    return typeof given === 'string' ? given : undefined;
  }

  async function refuse(request: FastifyRequest, reply: FastifyReply) {
    const failures = await countFailure(request);
    if (!failures.isAllowed && failures.isExceeded) {
      metrics.callbacks.inc({ outcome: 'limited' });
      reply.header('retry-after', String(Math.max(1, failures.ttlInSeconds)));
      return sendProblem(request, reply, limited, { close: true });
    }
    metrics.callbacks.inc({ outcome: 'unauthorized' });
    log.warn({ event: 'callback.unauthorized', requestId: request.id, address: clientAddress(request.raw, isTrusted) });
    return sendProblem(request, reply, unauthorized, { close: true });
  }

  function refuseTooLarge(request: FastifyRequest, reply: FastifyReply) {
    metrics.callbacks.inc({ outcome: 'rejected' });
    log.warn({ event: 'callback.rejected', requestId: request.id, reason: 'body over BODY_LIMIT' });
    return sendProblem(request, reply, tooLarge(config.BODY_LIMIT), { close: true });
  }

  function answerUnknown(request: FastifyRequest, reply: FastifyReply) {
    const path = request.url.replace(/\?.*$/s, '').replace(/(?<=.)\/$/, '');
    const allow = path === CALLBACK_PATH ? 'POST' : path === '/livez' || path === '/readyz' ? 'GET, HEAD' : undefined;
    const close = hasBody(request); // the body is not read, so the connection cannot be reused
    if (allow === undefined) return sendProblem(request, reply, notFound, { close });
    reply.header('allow', allow);
    return sendProblem(request, reply, methodNotAllowed(allow), { close });
  }

  return {
    async listen(): Promise<{ host: string; port: number }> {
      if (config.apiKeysFile !== undefined) {
        const brands = new Set(config.brands.keys());
        watches.push(watchApiKeys({ file: config.apiKeysFile, apiKeys, brands, log }));
      }
      await app.listen({ host: config.HOST, port: config.PORT }).catch((error: unknown) => {
        throw cannotListen('', config.HOST, config.PORT, error);
      });
      return { host: config.HOST, port: portOf(app.server.address()) };
    },

    /** Readiness turns 503 and connections are closed after each answer; callbacks are still accepted. */
    drain(): void {
      draining = true;
    },

    /** Answers requests in flight; a client without a complete request by the deadline is cut off. */
    async close(deadlineMs: number): Promise<void> {
      for (const stop of watches) stop();
      const cutOff = setTimeout(() => app.server.closeAllConnections(), deadlineMs);
      await app.close();
      clearTimeout(cutOff);
    },
  };
}

/** The port that the system chose if PORT is 0. */
function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const notFound = problem(404, 'not-found', 'There is nothing at this path.');
const unauthorized = problem(401, 'unauthorized', 'The header X-API-KEY is missing or carries no accepted key.');
const limited = problem(429, 'limited', 'Too many requests without an accepted key came from this address.');

function tooLarge(limitBytes: number): Problem {
  return problem(413, 'too-large', `The body is larger than ${limitBytes} bytes (BODY_LIMIT).`);
}

function methodNotAllowed(allow: string): Problem {
  return problem(405, 'method-not-allowed', `This path accepts only ${allow}.`);
}

function hasBody({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Without a serializer Fastify would add a charset, which JSON's media type does not have. (It would pass bytes unchanged,
 * too, but send them in a separate write after the headers.)
 */
function asItIs(body: string): string {
  return body;
}

function sendJson(reply: FastifyReply, body: string) {
  return reply.serializer(asItIs).header('content-type', 'application/json').send(body);
}

function sendProblem(request: FastifyRequest, reply: FastifyReply, document: Problem, { close = false } = {}) {
  if (close) {
    reply.header('connection', 'close');
    lingerAfterAnswer(request.raw.socket);
  }
  return reply
    .code(document.status)
    .serializer(asItIs)
    .header('content-type', problemContentType)
    .send(JSON.stringify({ ...document, requestId: request.id }));
}
