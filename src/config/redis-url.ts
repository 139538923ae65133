// Parses REDIS_URL (standalone, Sentinel or Cluster, with or without TLS) and the variables that depend on it.

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface Login {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

interface RedisLogin extends Login {
  readonly tls: boolean;
}

export type RedisTarget =
  | (RedisLogin & { readonly kind: 'standalone'; readonly endpoint: RedisEndpoint; readonly db: number })
  | (RedisLogin & {
      readonly kind: 'sentinel';
      readonly endpoints: readonly RedisEndpoint[];
      readonly masterName: string;
      /** Logins for the Sentinels themselves, tried in this order; at least one. */
      readonly sentinelLogins: readonly Login[];
      readonly db: number;
    })
  | (RedisLogin & { readonly kind: 'cluster'; readonly endpoints: readonly RedisEndpoint[] });

export interface RedisVariables {
  readonly REDIS_URL?: string | undefined;
  readonly SENTINEL_USERNAME?: string | undefined;
  readonly SENTINEL_PASSWORD?: string | undefined;
  readonly QUEUE_PREFIX: string;
}

/** Always returns a target, so that the rest of the configuration can be checked too. */
export function checkRedisVariables(variables: RedisVariables, production: boolean, problems: string[]): RedisTarget {
  const { REDIS_URL, SENTINEL_USERNAME: username, SENTINEL_PASSWORD: password } = variables;
  if (REDIS_URL === undefined && production) problems.push('REDIS_URL: is required with NODE_ENV=production');
  const parsed = parseRedisUrl(REDIS_URL ?? 'redis://127.0.0.1:6379', { username, password });
  if ('problem' in parsed) {
    problems.push(`REDIS_URL: ${parsed.problem}`);
    return checkRedisVariables({ QUEUE_PREFIX: variables.QUEUE_PREFIX }, false, problems);
  }
  if (parsed.target.kind !== 'sentinel' && (username ?? password) !== undefined) {
    problems.push('SENTINEL_PASSWORD: is for a REDIS_URL that names Sentinels, redis+sentinel://host:26379/name');
  }
  if (parsed.target.kind === 'cluster' && !/\{.+\}/.test(variables.QUEUE_PREFIX)) {
    problems.push('QUEUE_PREFIX: must hold a hash tag in { } on a Redis Cluster, as in {payalo}');
  }
  return parsed.target;
}

const pattern = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^/?#]+)(\/[^?#]*)?(\?[^#]*)?$/;

/**
 * The target that a REDIS_URL names, or a sentence that says what is wrong with it, without repeating its password.
 * `sentinel` holds the credentials set for the Sentinels.
 */
export function parseRedisUrl(url: string, sentinel: Login = {}): { target: RedisTarget } | { problem: string } {
  const match = pattern.exec(url.trim());
  if (match === null) {
    return {
      problem: 'must look like redis://host:6379, redis+sentinel://host:26379/master or redis+cluster://host:6379',
    };
  }
  const [, scheme, variant = '', userInfo = '', hosts = '', path = ''] = match;
  const endpoints = hosts.split(',').map((text) => parseEndpoint(text, variant === '+sentinel' ? 26_379 : 6_379));
  if (!endpoints.every((endpoint) => endpoint !== undefined)) {
    return { problem: 'must name each server as host or host:port' };
  }
  const login = { tls: scheme === 'rediss', ...parseUserInfo(userInfo) };
  const segments = path.split('/').filter((segment) => segment !== '');
  const [first, ...more] = endpoints;
  if (variant === '+cluster') return { target: { kind: 'cluster', endpoints, ...login } };
  if (variant === '+sentinel') {
    const [masterName, dbText] = segments;
    if (masterName === undefined) return { problem: "must end in the master's name: redis+sentinel://host:26379/name" };
    const db = parseDb(dbText);
    if (db === undefined) return { problem: 'must give the database as a number' };
    const sentinelLogins = loginsOf(sentinel, login);
    return { target: { kind: 'sentinel', endpoints, masterName: decode(masterName), sentinelLogins, db, ...login } };
  }
  if (first === undefined || more.length > 0) {
    return { problem: 'names several servers: use redis+sentinel:// or redis+cluster://' };
  }
  const db = parseDb(segments[0]);
  if (db === undefined) return { problem: 'must give the database as a number' };
  return { target: { kind: 'standalone', endpoint: first, db, ...login } };
}

function parseEndpoint(text: string, defaultPort: number): RedisEndpoint | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text.trim());
  if (match?.[1] === undefined) return undefined;
  return { host: match[1].replace(/^\[|\]$/g, ''), port: match[2] === undefined ? defaultPort : Number(match[2]) };
}

function parseUserInfo(text: string): { username?: string; password?: string } {
  if (text === '') return {};
  const at = text.indexOf(':');
  const username = decode(at < 0 ? text : text.slice(0, at));
  const password = at < 0 ? '' : decode(text.slice(at + 1));
  return { ...(username !== '' && { username }), ...(password !== '' && { password }) };
}

/**
 * Sentinels default to Redis's credentials. Often theirs differ: Sentinels may have a password and no users, or need no
 * login. These logins are tried next, unless the settings contradict them.
 */
function loginsOf(sentinel: Login, redis: Login): Login[] {
  const username = sentinel.username ?? redis.username;
  const password = sentinel.password ?? redis.password;
  const logins: Login[] = [{ username, password }];
  if (password === undefined) return [{}];
  if (sentinel.username === undefined && username !== undefined) logins.push({ password });
  if (sentinel.username === undefined && sentinel.password === undefined) logins.push({});
  return logins;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function parseDb(text: string | undefined): number | undefined {
  if (text === undefined) return 0;
  return /^\d{1,4}$/.test(text) ? Number(text) : undefined;
}
