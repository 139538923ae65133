// A pool of connections to one origin: keep-alive, HTTP/2 if the server offers it, through the egress proxy if one is
// configured, with names resolved in a separate process (name-lookups.ts).
//
// Deliveries and gateway calls both use it, so they follow the same rules. Timeouts for headers and bodies are up to the
// caller.
import type { LookupFunction } from 'node:net';
import { buildConnector, Pool, ProxyAgent, type Dispatcher } from 'undici';
import * as z from 'zod';
import type { ClientTls } from '../config/client-tls.ts';
import { certifiedConnector, readClientTls } from './client-certificate.ts';
import { dropInterimAnswers } from './interim-answers.ts';
import { proxyFor, type ProxySettings } from '../config/proxy.ts';

/** How this process connects to other hosts. */
export interface Egress {
  readonly proxies: ProxySettings;
  /** Without it, names are resolved in this process's few threads. */
  readonly lookup?: LookupFunction | undefined;
}

export interface HttpPoolOptions extends Egress {
  readonly tls?: ClientTls | undefined;
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
}

export interface HttpPool {
  readonly origin: string;
  readonly dispatcher: Dispatcher;
}

export function createHttpPool(url: string, options: HttpPoolOptions): HttpPool {
  const { connectionsMax, connectTimeoutMs, proxies, lookup, tls } = options;
  const { origin } = new URL(url);
  const proxy = proxyFor(url, proxies);
  const limits = { connections: connectionsMax, headersTimeout: 0, bodyTimeout: 0 };
  const connection = { timeout: connectTimeoutMs, ...(lookup !== undefined && { lookup }) };
  if (proxy === undefined) {
    const connect = tls === undefined ? buildConnector(connection) : certifiedConnector(tls, connection);
    return { origin, dispatcher: new Pool(origin, { ...limits, connect: tolerant(connect) }) };
  }
  const dispatcher = new ProxyAgent({
    uri: proxy,
    proxyTls: connection,
    requestTls: { timeout: connectTimeoutMs, ...(tls !== undefined && readClientTls(tls)) },
    // For CONNECT to the proxy: a proxy that never answers counts as a connection that fails.
    clientFactory: (target, given) =>
      new Pool(target, { ...limits, connect: connectorOf(given), headersTimeout: connectTimeoutMs }),
    factory: (target, given) => new Pool(target, { ...limits, connect: tolerant(connectorOf(given)) }),
  });
  return { origin, dispatcher };
}

/** A connector whose HTTP/1.1 connections tolerate unsolicited interim answers. HTTP/2 has frames for them. */
function tolerant(connect: buildConnector.connector): buildConnector.connector {
  return (target, done) => {
    connect(target, (...[error, socket]) => {
      if (error !== null) return done(error, null);
      if (!('alpnProtocol' in socket && socket.alpnProtocol === 'h2')) dropInterimAnswers(socket);
      done(null, socket);
    });
  };
}

const withConnector = z.object({
  connect: z.custom<buildConnector.connector>((value) => typeof value === 'function'),
});

/** ProxyAgent passes the connector that goes through the proxy. */
function connectorOf(given: object): buildConnector.connector {
  return withConnector.parse(given).connect;
}
