// Redis connections, in the two profiles that this service needs.
//
// `producer` fails fast: no offline queue and a command timeout, so that no Redis can hold an answer to the gateway.
// `worker` waits and reconnects for ever, as BullMQ asks. Both log their connection's ups and downs once per change,
// whether Redis refuses, closes or says nothing, and each command that Redis does not permit.
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
/** Notices a peer that vanished without closing (a half-open socket), also while nothing is sent. */
const keepAliveMs = 5_000;
/**
 * A server that says nothing while an answer is due is given up and looked for anew: behind Sentinel or in a Cluster
 * another one may have its place by now. Longer than BullMQ's blocking reads (10 s), and for producers than any command.
 */
const silenceMaxMs = 15_000;
/** How long a Cluster's changes may go unnoticed where no answer tells of them (a frozen node gives none). */
const slotsRefreshMs = 2_000;

/** How often a connection on which nothing happens is tried, so that an outage is known before it matters. */
const pingEveryMs = 5_000;
/** A refusal that was not seen for so long is over; and how many different ones are remembered. */
const quietMs = 60_000;
const refusalsMax = 100;

export function createRedis(target: RedisTarget, profile: RedisProfile, name: string, log: ConnectionLog) {
  const options = redisOptions(target, profile, name, createRefusals(name, log));
  const connection: RedisConnection = connect(target, options, profile);
  watch(connection, name, log);
  return connection;
}

/**
 * For a server that stopped answering: it may have forgotten us, or another one has its place, and a new connection
 * shows it. A Cluster's other nodes are not to blame; there the silent node's connection ends by itself.
 */
export function renewConnection(redis: RedisConnection): void {
  if (redis instanceof Cluster) void refreshSlots(redis);
  else redis.disconnect(true);
}

/** Asks a Cluster who owns which slot now. Never fails: who does not get to know stays with what was known. */
export async function refreshSlots(redis: RedisConnection): Promise<void> {
  if (redis instanceof Cluster) await new Promise<void>((resolve) => redis.refreshSlotsCache(() => resolve()));
}

/**
 * Returns a function that holds this connection's commands back until the turn of the event loop ends, so that those of
 * one turn leave in one write: for many small commands that nobody sends together, such as a worker's. A Cluster's
 * commands leave as they come.
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

/** NOPERM of a command, and what Redis 7 and older ones say of a command inside a script. */
const refusal = /^NOPERM|ACL failure in script|user executing the script can't/;

/** Whether Redis answered that this user may not do this. */
export function isNotPermitted(error: unknown): boolean {
  return error instanceof Error && refusal.test(error.message);
}

function redisOptions(target: RedisTarget, profile: RedisProfile, name: string, tellRefusal: (error: Error) => void) {
  return {
    connectionName: `payalo-receiver-${name}`,
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveMs,
    retryStrategy: reconnectAfterMs,
    // After a failover the old primary answers READONLY until the connection is made anew.
    reconnectOnError(error: Error) {
      tellRefusal(error);
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
        // ioredis reads the login anew from its options each time that it asks the Sentinels.
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
        // Certificates name hosts; the nodes of a TLS cluster are reached by the name that they announce.
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
 * What the user may not do, said once, with the command's name as Redis gives it. What is only looked at (INFO, CONFIG)
 * is the doctor's to tell.
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

/** Without an `error` listener a lost connection would end the process. `end` comes only of our own closing: no news. */
function watch(connection: RedisConnection, name: string, log: ConnectionLog): void {
  let isDown = false;
  let wasReady = false;
  let isReady = false;
  const tellDown = (code: unknown, reason: string) => {
    if (!isDown) log.warn({ event: 'redis.down', connection: name, code, reason });
    isDown = true;
  };
  connection.on('error', (error: Error & { code?: unknown }) => tellDown(error.code ?? error.name, error.message));
  connection.on('close', () => {
    // Closed once and made anew (against READONLY, say, several times a second) is no news; closed again before it was
    // ready is: something accepts connections and is no Redis, or none yet.
    if (!isReady && connection.status !== 'end') tellDown('CLOSED', 'connections are accepted and closed');
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

/** While an answer is due, ioredis counts the silence (`socketTimeout`); a Cluster asks its nodes by itself. */
function keepAsking(redis: Redis): void {
  const timer = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
  }, pingEveryMs);
  timer.unref();
  redis.once('end', () => clearInterval(timer));
}
