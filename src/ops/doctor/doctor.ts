// The doctor: checks whether this deployment can keep the product's promises. Each line has a finding and a fix.
//
// `runDoctor` runs all checks, for the CLI; the durability checks also run at start (start-checks.ts). Every check has a
// deadline and none throws: what cannot be determined is a warning that says so.
import type { RedisConnection } from '../../redis/connections.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import type { Config } from '../../config/config.ts';
import { checkMerchant, checkPublicWay } from './doctor-http.ts';
import { ok, problem, warning, type Check } from './check.ts';
import { checkLeftQueues } from './doctor-queues.ts';
import { checkRedis } from './doctor-redis.ts';
import { checkSpoolContents, checkSpoolFolder } from './doctor-spool.ts';

export type GatewayKeyCheck =
  | { readonly kind: 'ok' }
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'unavailable'; readonly reason: string };

export interface DoctorOptions {
  readonly config: Config;
  readonly queues: Iterable<BrandQueue>;
  /** May be down: no answer in time is a problem of its own. */
  readonly redis: RedisConnection;
  /** Whether the gateway accepts a brand's key; undefined if there is no gateway. The caller owns the client. */
  readonly checkGatewayKey: (brand: string) => Promise<GatewayKeyCheck | undefined>;
  /** `--url`: the registered resultUrl, tested through DNS, TLS and load balancer. */
  readonly publicUrl?: string | undefined;
  readonly now?: () => number;
}

export async function runDoctor(options: DoctorOptions): Promise<Check[]> {
  const { config, queues, redis, publicUrl, now = Date.now } = options;
  const brands = [...config.brands.values()];
  const redisChecks = checkRedis({ redis, queues: [...queues], now });
  const checks = await Promise.all([
    redisChecks,
    checkSpoolFolder({ dir: config.SPOOL_DIR, maxBytes: config.SPOOL_MAX_BYTES, production: config.production }),
    redisChecks.then(() => checkSpoolContents({ config, redis })), // connected by then, if possible
    redisChecks.then(() => checkLeftQueues(config, redis)),
    ...brands.map(async (brand) => [await checkMerchant(brand, config)]),
    ...brands.map(async ({ name }) => [await checkGatewayKey(name, options.checkGatewayKey)]),
    ...(publicUrl === undefined ? [] : [checkPublicWay(publicUrl, brands[0]?.apiKeys[0], config)]),
  ]);
  return [...config.notices.map(toCheck), ...checks.flat()];
}

function toCheck(notice: string): Check {
  const fix = 'Most likely a typo. If it is intended, nothing needs to be done.';
  return warning('configuration', `${notice}.`, fix);
}

async function checkGatewayKey(brand: string, ask: DoctorOptions['checkGatewayKey']): Promise<Check> {
  const name = `gateway key of ${brand}`;
  const answer = await ask(brand).catch((error: unknown) => ({ kind: 'unavailable' as const, reason: String(error) }));
  if (answer === undefined) {
    const fix = 'Set GATEWAY_BASE_URL (and GATEWAY_API_KEY if it differs) so that lost callbacks are found.';
    return warning(name, 'No gateway is configured: nothing is reconciled.', fix);
  }
  switch (answer.kind) {
    case 'ok':
      return ok(name, 'The gateway accepts the key.');
    case 'unauthorized':
      return problem(
        name,
        'The gateway refuses every key of this brand.',
        'Put the current key into GATEWAY_API_KEY or PAYALO_API_KEYS; callbacks may come with a new one, too.',
      );
    case 'unavailable':
      return warning(
        name,
        `The gateway did not answer: ${answer.reason}.`,
        'Check GATEWAY_BASE_URL and that this machine may connect to it.',
      );
  }
}
