// The configuration: the only code that reads the environment and `.env`.
//
// Promises: reports every problem at once, each as one line that names its variable and never repeats a secret; the result
// is complete and valid, so no other module checks it again. A test compares `.env.example` with the list.
import { statSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { parseEnv } from 'node:util';
import * as z from 'zod';
import { addressesVariable } from './addresses.ts';
import { brandNotices } from './brand-notices.ts';
import { misspelledVariables } from './misspelled-variables.ts';
import { buildBrands, type Brand } from './brands.ts';
import { brandNames } from './brand-values.ts';
import { notifyVariables } from './notify-variables.ts';
import { otelValues, otelVariables, type OtelValues } from './otel-variables.ts';
import { parseOpsTokens, type OpsToken } from './ops-tokens.ts';
import { readTextFile } from './read-text-file.ts';
import { roleNames, type Role } from './role-names.ts';
import { resolveValues, type Environment } from './resolve-values.ts';
import { proxyVariable } from './proxy.ts';
import { checkRedisVariables, type RedisTarget } from './redis-url.ts';
import { duration, integer, maxAckBudgetMs, text, timer, toSchedule, toTime, yesOrNo } from './variable-types.ts';

export type Config = z.infer<typeof variables> & {
  readonly roles: ReadonlySet<Role>;
  readonly production: boolean;
  readonly redis: RedisTarget;
  /** By name. A brand exists because one of the five per-brand variables names it. */
  readonly brands: ReadonlyMap<string, Brand>;
  /** The file from which the accepted keys are read again when it changes. */
  readonly apiKeysFile: string | undefined;
  readonly opsTokens: readonly OpsToken[];
  readonly otel: OtelValues;
  /** True if `all` was asked for: what is not configured is then left out with a notice instead of refused. */
  readonly lenientRoles: boolean;
  /** Likely mistakes that do not stop the start; one sentence each. */
  readonly notices: readonly string[];
};

export const variables = z.object({
  NODE_ENV: text,
  PAYALO_API_KEYS: text,
  HOST: z.string().default('0.0.0.0'),
  PORT: integer(3000, { max: 65_535 }),
  CALLBACK_PATH: z
    .string()
    .default('/webhooks/payalo')
    .refine((value) => /^\/[\w\-.~/]*$/.test(value), 'must be a plain path that starts with /')
    .transform((value) => (value === '/' ? value : value.replace(/\/+$/, ''))),
  TRUST_PROXY: addressesVariable,
  BODY_LIMIT: integer(262_144, { min: 1_024, max: 16_777_216 }),
  KEEP_ALIVE_TIMEOUT: timer('72s', 15_000), // longer than a request may take to arrive
  AUTH_FAILURES_PER_MINUTE: integer(60, { min: 1 }),
  REDIS_URL: text,
  SENTINEL_USERNAME: text,
  SENTINEL_PASSWORD: text,
  REDIS_WAIT_REPLICAS: integer(0, { max: 16 }),
  QUEUE_NAME: z
    .string()
    .default('payalo-callbacks')
    .refine((value) => /^[\w.-]{1,64}$/.test(value), 'must be 1 to 64 letters, digits, `_`, `-` or `.`'),
  QUEUE_PREFIX: z
    .string()
    .default('{payalo}')
    .refine(
      (value) => /^[\w.-]*\{?[\w.-]+\}?[\w.-]*$/.test(value),
      'must be letters and digits, part of it in { } for a Cluster',
    ),
  BRANDS_ELSEWHERE: brandNames,
  DEDUP_TTL: duration('14d'),
  RETAIN_COMPLETED: duration('3d'),
  RETAIN_COMPLETED_MAX: integer(1_000_000),
  RETAIN_FAILED: duration('90d'),
  QUARANTINE_RETAIN: duration('30d'),
  QUARANTINE_MAX_BYTES: integer(67_108_864, { min: 1_024 }),
  SHUTDOWN_TIMEOUT: timer('25s'),
  ACK_BUDGET: duration('3s', { max: maxAckBudgetMs }),
  SPOOL_DIR: z
    .string()
    .default('data/spool')
    .transform((value) => path.resolve(value)),
  SPOOL_MAX_BYTES: integer(1_073_741_824, { min: 65_536 }),
  FORWARD_URL: text,
  FORWARD_HEADERS_FILE: text,
  FORWARD_SECRET: text,
  FORWARD_TIMEOUT: timer('15s'),
  FORWARD_CONCURRENCY: integer(50, { min: 1, max: 10_000 }),
  FORWARD_RETRIES: z.string().default('5s,30s,2m,10m,30m,1h,3h,6h,12h,24h').transform(toSchedule),
  FORWARD_CERT_FILE: text,
  FORWARD_KEY_FILE: text,
  FORWARD_CA_FILE: text,
  HANDLER_MODULE: text,
  HTTP_PROXY: proxyVariable,
  HTTPS_PROXY: proxyVariable,
  NO_PROXY: text,
  GATEWAY_BASE_URL: text,
  GATEWAY_API_KEY: text,
  RECONCILE_EVERY: timer('10m', 100),
  RECONCILE_LOOKBACK: duration('24h'),
  RECONCILE_GRACE: duration('5m', { min: 0 }),
  RECONCILE_SINCE: z.string().optional().transform(toTime),
  CONFIRM: text,
  CONFIRM_WAIT: duration('10m'),
  HOLD_MISMATCHED: yesOrNo(false),
  OPS_HOST: z.string().default('127.0.0.1'),
  OPS_PORT: integer(3001, { max: 65_535 }),
  OPS_TOKEN: text,
  OPS_USER_HEADER: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'must be the name of a header, such as X-Forwarded-User')
    .toLowerCase()
    .optional(),
  ...notifyVariables,
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'must be a pino level, such as info')
    .default('info'),
  ...otelVariables,
});

export const variableNames: readonly string[] = Object.keys(variables.shape);

export interface Sources {
  /** From an optional `.env` in the working folder. */
  readonly file: Environment;
  /** Takes precedence over the file. */
  readonly process: Environment;
}

export function readSources(envFile = '.env'): Sources {
  const isFile = statSync(envFile, { throwIfNoEntry: false })?.isFile();
  return { file: isFile ? parseEnv(readTextFile(envFile)) : {}, process: process.env };
}

/** The process's environment merged over an optional `.env` in the working folder. */
export function readEnvironment(envFile?: string): Environment {
  const sources = readSources(envFile);
  return { ...sources.file, ...sources.process };
}

/** For packages that read process.env themselves and know neither `.env` nor X_FILE. */
export function putIntoEnvironment(values: Readonly<Record<string, string>>): void {
  Object.assign(process.env, values);
}

/** For a child process: the environment of this one plus `more`. */
export function childEnvironment(more: Environment): Environment {
  return { ...process.env, ...more };
}

/** Validates the environment for the roles named on the command line (none: `all`). */
export function loadConfig(
  environment: Environment,
  roleArguments: readonly string[] = [],
): { config: Config } | { problems: string[] } {
  const problems: string[] = [];
  const resolved = resolveValues(environment, variableNames, problems);
  const values = Object.fromEntries([...resolved].map(([name, { value }]) => [name, value]));
  const roles = toRoles(roleArguments, problems);
  const parsed = variables.safeParse(values);
  if (!parsed.success) {
    // One bad value must not hide the others: it is left out, and the rest is still checked below.
    for (const issue of parsed.error.issues) problems.push(`${issue.path.join('.')}: ${issue.message}`);
    for (const issue of parsed.error.issues) delete values[String(issue.path[0])];
  }
  const checked = parsed.success ? parsed.data : variables.parse(values);
  const production = checked.NODE_ENV === 'production';
  const lenientRoles = roleArguments.length === 0 || roleArguments.includes('all');
  const redis = checkRedisVariables(checked, production, problems);
  const brands = buildBrands(checked, { production, roles, problems });
  const opsTokens = parseOpsTokens(checked.OPS_TOKEN ?? '', problems);
  checkTogether({ checked, roles, lenientRoles, brands: [...brands.values()], opsTokens, problems });
  if (problems.length > 0) return { problems: problems.map((problem) => problem.replaceAll(/\s+/g, ' ')) };
  const apiKeysFile =
    values['PAYALO_API_KEYS'] === undefined ? undefined : environment['PAYALO_API_KEYS_FILE'] || undefined;
  const otel = otelValues(environment, checked);
  const notices = [...misspelledVariables(environment, variableNames), ...brandNotices(checked, brands)];
  return {
    config: { ...checked, roles, production, redis, brands, apiKeysFile, opsTokens, otel, lenientRoles, notices },
  };
}

function toRoles(roleArguments: readonly string[], problems: string[]): ReadonlySet<Role> {
  const asked = roleArguments.length === 0 ? ['all'] : roleArguments;
  const roles = asked.flatMap((name) => (name === 'all' ? roleNames : roleNames.filter((role) => role === name)));
  const unknown = asked.filter((name) => name !== 'all' && !roleNames.some((role) => role === name));
  for (const name of unknown)
    problems.push(`unknown role ${JSON.stringify(name.slice(0, 40))}; use all, ${roleNames.join(', ')}`);
  return new Set(roles);
}

interface Together {
  readonly checked: z.infer<typeof variables>;
  readonly roles: ReadonlySet<Role>;
  readonly lenientRoles: boolean;
  readonly brands: readonly Brand[];
  readonly opsTokens: readonly OpsToken[];
  readonly problems: string[];
}

/** Checks that involve several variables. */
function checkTogether({ checked, roles, lenientRoles, brands, opsTokens, problems }: Together): void {
  if (
    roles.has('receive') &&
    brands.every(({ apiKeys }) => apiKeys.length === 0) &&
    !problems.some((line) => line.startsWith('PAYALO_API_KEYS'))
  ) {
    problems.push(
      'PAYALO_API_KEYS: is required for the role receive (the API key that the gateway sends as X-API-KEY)',
    );
  }
  if (
    roles.has('work') &&
    !lenientRoles &&
    brands.every(({ forwardUrl }) => forwardUrl === undefined) &&
    checked.HANDLER_MODULE === undefined
  ) {
    problems.push('FORWARD_URL: the role work needs FORWARD_URL or HANDLER_MODULE, else it has nothing to deliver to');
  }
  if (checked.FORWARD_URL !== undefined && checked.HANDLER_MODULE !== undefined) {
    problems.push('HANDLER_MODULE: is used instead of FORWARD_URL; keep one of the two');
  }
  if (checked.DEDUP_TTL <= checked.RECONCILE_LOOKBACK) {
    problems.push(
      'DEDUP_TTL: must exceed RECONCILE_LOOKBACK, else a sweep would deliver callbacks again whose claims have expired',
    );
  }
  if (brands.some(({ confirm }) => confirm === 'before') && checked.DEDUP_TTL <= checked.CONFIRM_WAIT) {
    problems.push(
      'CONFIRM_WAIT: must be shorter than DEDUP_TTL, else the claim of a callback would expire before its delivery',
    );
  }
  if (checked.OPS_USER_HEADER !== undefined && checked.TRUST_PROXY.length === 0) {
    problems.push('OPS_USER_HEADER: is believed from TRUST_PROXY only, which is not set');
  }
  if (!isLoopback(checked.OPS_HOST) && opsTokens.length === 0) {
    problems.push(`OPS_TOKEN: is required because OPS_HOST (${checked.OPS_HOST}) is not loopback`);
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
