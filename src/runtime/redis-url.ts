// REDIS_URL in its forms: standalone, Sentinel and Cluster, each with or without TLS.

export interface RedisEndpoint {
  readonly host: string;
  readonly port: number;
}

interface RedisLogin {
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
}

export type RedisTarget =
  | (RedisLogin & { readonly kind: 'standalone'; readonly endpoint: RedisEndpoint; readonly db: number })
  | (RedisLogin & {
      readonly kind: 'sentinel';
      readonly endpoints: readonly RedisEndpoint[];
      readonly masterName: string;
      readonly db: number;
    })
  | (RedisLogin & { readonly kind: 'cluster'; readonly endpoints: readonly RedisEndpoint[] });

const pattern = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^/?#]+)(\/[^?#]*)?(\?[^#]*)?$/;

/** The target that a REDIS_URL names, or a sentence that says what is wrong with it (without repeating its password). */
export function parseRedisUrl(url: string): { target: RedisTarget } | { problem: string } {
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
    if (db === undefined) return { problem: 'must end in a database number, where it has one' };
    return { target: { kind: 'sentinel', endpoints, masterName: decodeURIComponent(masterName), db, ...login } };
  }
  if (first === undefined || more.length > 0) {
    return { problem: 'names several servers: use redis+sentinel:// or redis+cluster:// for those' };
  }
  const db = parseDb(segments[0]);
  if (db === undefined) return { problem: 'must end in a database number, where it has one' };
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
