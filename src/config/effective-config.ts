// The effective configuration for people: each variable's value and origin, secrets masked.
//
// Only variables listed in `plain` are shown as they are, so that a new variable stays masked until somebody decides
// otherwise.
import { couldBe, parseBrandValues, defaultBrand } from './brand-values.ts';
import { variableNames, type Sources } from './config.ts';
import { productionGateway } from './brands.ts';
import { resolveValues, type ResolvedValue } from './resolve-values.ts';
import { variableDefaults } from './variable-schemas.ts';

export interface EffectiveValue {
  readonly name: string;
  /** Null if it is unset and has no default. */
  readonly value: string | null;
  /** `default`, `environment`, `.env`, or NAME_FILE with its file and where it is set. */
  readonly origin: string;
}

const plain: ReadonlySet<string> = new Set(
  `NODE_ENV HOST PORT CALLBACK_PATH TRUST_PROXY BODY_LIMIT KEEP_ALIVE_TIMEOUT AUTH_FAILURES_PER_MINUTE SENTINEL_USERNAME
  REDIS_WAIT_REPLICAS QUEUE_NAME QUEUE_PREFIX BRANDS_ELSEWHERE DEDUP_TTL RETAIN_COMPLETED RETAIN_COMPLETED_MAX RETAIN_FAILED
  QUARANTINE_RETAIN QUARANTINE_MAX_BYTES SHUTDOWN_TIMEOUT ACK_BUDGET SPOOL_DIR SPOOL_MAX_BYTES FORWARD_HEADERS_FILE
  FORWARD_TIMEOUT FORWARD_CONCURRENCY FORWARD_RETRIES HANDLER_MODULE NO_PROXY RECONCILE_EVERY RECONCILE_LOOKBACK
  RECONCILE_GRACE RECONCILE_SINCE CONFIRM CONFIRM_WAIT HOLD_MISMATCHED FORWARD_CERT_FILE FORWARD_KEY_FILE FORWARD_CA_FILE
  OPS_HOST OPS_PORT OPS_USER_HEADER LOG_LEVEL`.split(/\s+/),
);
/** Shown with credentials and queries masked. */
const urls: ReadonlySet<string> = new Set(
  `REDIS_URL FORWARD_URL GATEWAY_BASE_URL HTTP_PROXY HTTPS_PROXY OTEL_EXPORTER_OTLP_ENDPOINT
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.split(/\s+/),
);
const mask = '********';

export function effectiveConfig(sources: Sources): EffectiveValue[] {
  const environment = { ...sources.file, ...sources.process };
  const resolved = resolveValues(environment, variableNames, []);
  const isProduction = resolved.get('NODE_ENV')?.value === 'production';
  return variableNames.map((name) => {
    const found = resolved.get(name);
    if (found === undefined) return { name, value: defaultOf(name, isProduction), origin: 'default' };
    return { name, value: shown(name, found.value), origin: originOf(found, sources) };
  });
}

function originOf({ variable, file }: ResolvedValue, { process: ofProcess }: Sources): string {
  const place = ofProcess[variable] === undefined ? '.env' : 'environment';
  return file === undefined ? place : `${variable} (${file}), ${place}`;
}

/** Includes the defaults that depend on other variables. */
function defaultOf(name: string, isProduction: boolean): string | null {
  if (name === 'REDIS_URL') return isProduction ? null : 'redis://127.0.0.1:6379';
  if (name === 'GATEWAY_BASE_URL') return isProduction ? productionGateway : null;
  return variableDefaults.get(name) ?? null;
}

function shown(name: string, value: string): string {
  if (plain.has(name)) return value;
  if (name === 'OPS_TOKEN') return value.split(',').map(maskToken).join(',');
  if (urls.has(name)) return value.split(',').map(maskUrl).join(',');
  const brands = parseBrandValues(value, name === 'FORWARD_SECRET' ? couldBe.secret : couldBe.key);
  return brands.map(({ brand }) => (brand === defaultBrand ? mask : `${brand}=${mask}`)).join(',');
}

/** Keeps `name:right=`. */
function maskToken(item: string): string {
  return `${/^\s*[\w.@-]{1,32}(?::[a-z]+)?=(?=.*[^=])/.exec(item)?.[0] ?? ''}${mask}`;
}

/** Masks user, password and the query, in which webhooks carry their keys. */
function maskUrl(item: string): string {
  return item.replace(/:\/\/[^/]*@/, `://${mask}@`).replace(/[?#].*$/s, `?${mask}`);
}
