// Redis connections, in the two profiles that this service needs.
//
// `producer` fails fast: no offline queue and a command timeout, so that no Redis can delay an answer to the gateway.
// `worker` waits and reconnects for ever, as BullMQ requires. Both log once when their connection goes down or comes back,
// whether Redis refuses, closes or does not answer, and each command that Redis does not permit.
import { Cluster, Redis } from 'ioredis';
import type { Login, RedisTarget } from '../config/redis-url.ts';

export type RedisConnection = Redis | Cluster;

export type RedisProfile =
  { readonly kind: 'producer'; readonly commandTimeoutMs: number } | { readonly kind: 'worker' };

export interface ConnectionLog {
  info(fields: object): void;
  warn(fields: object): void;
}

const connectTimeoutMs = 3_000;
const reconnectMaxMs = 1_000;
/** Detects a peer that vanished without closing (a half-open socket), even while nothing is sent. */
const keepAliveMs = 5_000;
/**
 * A server that owes an answer for this long is given up and the connection renewed: behind Sentinel or in a Cluster
 * another server may have taken over. Longer than BullMQ's blocking reads (10 s); producers use their command timeout.
 */
const silenceMaxMs = 15_000;
/** How long a change of a Cluster's slots may go unnoticed if no answer reports it (a frozen node gives none). */
const slotsRefreshMs = 2_000;

/** How often an idle connection is pinged, so that an outage is noticed before it matters. */
const pingEveryMs = 5_000;
/** A refusal is logged again after this pause; and how many different refusals are remembered. */
const quietMs = 60_000;
const refusalsMax = 100;

export function createRedis(target: RedisTarget, profile: RedisProfile, name: string, log: ConnectionLog) {
  const options = redisOptions(target, profile, name, createRefusals(name, log));
  const connection: RedisConnection = connect(target, options, profile);
  watch(connection, name, log);
  return connection;
}

/**
 * For a server that stopped answering: it may have lost the connection, or another server may have taken over. A Cluster
 * keeps its other connections; the silent node's own connection ends by itself.
 */
export function renewConnection(redis: RedisConnection): void {
  if (redis instanceof Cluster) void refreshSlots(redis);
  else redis.disconnect(true);
}

/** Asks a Cluster which node owns which slot. Never fails: without an answer the old map stays. */
export async function refreshSlots(redis: RedisConnection): Promise<void> {
  if (redis instanceof Cluster) await new Promise<void>((resolve) => redis.refreshSlotsCache(() => resolve()));
}

/**
 * Returns a function that corks this connection until the end of the turn of the event loop, so that the commands of one
 * turn leave in one write. Useful for many small commands that are issued separately, such as a worker's. No effect on a
 * Cluster.
 */
export function createWriteGathering(redis: RedisConnection): () => void {
  let isHeld = false;
  return () => {
    if (isHeld || redis instanceof Cluster || redis.status !== 'ready') return;
    const { stream } = redis;
    isHeld = true;
    stream.cork();
    setImmediate(() => {
      isHeld = false;
      stream.uncork();
    });
  };
}

/** NOPERM of a command, and the wording of Redis 7 and older for a command inside a script. */
const refusal = /^NOPERM|ACL failure in script|user executing the script can't/;

/** Whether Redis answered that this user lacks a permission. */
export function isNotPermitted(error: unknown): boolean {
  return error instanceof Error && refusal.test(error.message);
}

function redisOptions(target: RedisTarget, profile: RedisProfile, name: string, logRefusal: (error: Error) => void) {
  return {
    connectionName: `payalo-receiver-${name}`,
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveMs,
    retryStrategy: reconnectAfterMs,
    // After a failover the old primary answers READONLY until the connection is renewed.
    reconnectOnError(error: Error) {
      logRefusal(error);
      return error.message.startsWith('READONLY');
    },
    ...(target.username !== undefined && { username: target.username }),
    ...(target.password !== undefined && { password: target.password }),
    ...(target.tls && { tls: {} }),
    ...(profile.kind === 'producer'
      ? {
          commandTimeout: profile.commandTimeoutMs,
          socketTimeout: profile.commandTimeoutMs,
          enableOfflineQueue: false,
          maxRetriesPerRequest: 0,
        }
      : { maxRetriesPerRequest: null, enableReadyCheck: true, socketTimeout: silenceMaxMs }),
  };
}

type Options = ReturnType<typeof redisOptions>;

function connect(target: RedisTarget, options: Options, profile: RedisProfile): RedisConnection {
  switch (target.kind) {
    case 'standalone':
      return new Redis({ ...options, ...target.endpoint, db: target.db });
    case 'sentinel':
      return new Redis({
        ...options,
        sentinels: [...target.endpoints],
        name: target.masterName,
        db: target.db,
        ...(target.tls && { enableTLSForSentinelMode: true, sentinelTLS: {} }),
        ...sentinelLogin(target.sentinelLogins, 0),
        // ioredis reads the login from its options each time it asks the Sentinels.
        sentinelRetryStrategy(this: object, attempt: number) {
          Object.assign(this, sentinelLogin(target.sentinelLogins, attempt));
          return reconnectAfterMs(attempt);
        },
        sentinelCommandTimeout: connectTimeoutMs,
      });
    case 'cluster':
      return new Cluster([...target.endpoints], {
        redisOptions: options,
        enableOfflineQueue: profile.kind === 'worker',
        clusterRetryStrategy: reconnectAfterMs,
        slotsRefreshInterval: slotsRefreshMs,
        // Certificates name hosts, so the nodes of a TLS cluster are reached by the name that they announce.
        ...(target.tls && {
          dnsLookup: (address: string, done: (error: null, address: string) => void) => done(null, address),
        }),
        ...(profile.kind === 'producer' && { maxRedirections: 3, retryDelayOnClusterDown: 0, retryDelayOnTryAgain: 0 }),
      });
  }
}

function reconnectAfterMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), reconnectMaxMs);
}

function sentinelLogin(logins: readonly Login[], attempt: number) {
  const { username, password } = logins[attempt % logins.length] ?? {};
  return { sentinelUsername: username, sentinelPassword: password };
}

/**
 * Logs a missing permission once, with the command's name from Redis's error. The doctor reports those that are only
 * needed for its own look (INFO, CONFIG).
 */
function createRefusals(name: string, log: ConnectionLog): (error: Error) => void {
  const lastAtMs = new Map<string, number>();
  const fix = 'Give this Redis user the permissions that docs/deployment.md lists.';
  return ({ message: reason }) => {
    if (!refusal.test(reason) || /'(info|config)\b/.test(reason)) return;
    const nowMs = performance.now();
    const isNews = nowMs - (lastAtMs.get(reason) ?? -Infinity) > quietMs;
    if (lastAtMs.size >= refusalsMax) lastAtMs.clear();
    lastAtMs.set(reason, nowMs);
    if (isNews) log.warn({ event: 'redis.not_permitted', connection: name, reason, fix });
  };
}

/** Without an `error` listener a lost connection would end the process. `end` only follows our own close, so it is ignored. */
function watch(connection: RedisConnection, name: string, log: ConnectionLog): void {
  let isDown = false;
  let wasReady = false;
  let isReady = false;
  const logDown = (code: unknown, reason: string) => {
    if (!isDown) log.warn({ event: 'redis.down', connection: name, code, reason });
    isDown = true;
  };
  connection.on('error', (error: Error & { code?: unknown }) => logDown(error.code ?? error.name, error.message));
  connection.on('close', () => {
    // A single close with a reconnect (after READONLY, perhaps several times a second) is not an outage. A close before the
    // connection became ready is: something accepts connections that is not Redis, or not yet.
    if (!isReady && connection.status !== 'end') logDown('CLOSED', 'connections are accepted and closed');
    isReady = false;
  });
  connection.on('ready', () => {
    if (isDown) log.info({ event: 'redis.up', connection: name });
    else if (!wasReady) log.info({ event: 'redis.connected', connection: name });
    isDown = false;
    wasReady = true;
    isReady = true;
  });
  if (connection instanceof Redis) keepAsking(connection);
}

/** Pings let ioredis notice silence (`socketTimeout` only runs while an answer is due). A Cluster pings its nodes itself. */
function keepAsking(redis: Redis): void {
  const timer = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  }, pingEveryMs);
  timer.unref();
  redis.once('end', () => clearInterval(timer));
}
