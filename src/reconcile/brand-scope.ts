// The context for reconciling one brand: its settings, the gateway client, and the functions through which results go in.
import type { Intake } from '../intake/intake.ts';
import { brandQueue, type BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { ConfirmMode } from '../config/confirm-modes.ts';
import type { Brand } from '../config/brands.ts';
import type { Config } from '../config/config.ts';
import type { Egress } from '../http/http-pool.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemClock, type Clock } from './clock.ts';
import { createGatewayClient, type GatewayClient } from './gateway/gateway-client.ts';
import { createGatewayKeys } from './gateway/gateway-keys.ts';
import type { ClassifyLimits } from './sweep/classify.ts';
import { lookbackOf } from './sweep/schedule.ts';

export interface BrandScope {
  readonly brand: string;
  readonly queue: BrandQueue;
  readonly redis: RedisConnection;
  readonly gateway: GatewayClient;
  readonly intake: Pick<Intake, 'accept'>;
  readonly limits: ClassifyLimits;
  readonly confirm: ConfirmMode;
  /** With `after`: how long after its receipt the gateway is asked about a callback that no sweep has listed. */
  readonly confirmAfterMs: number;
  readonly holdMismatched: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics | undefined;
}

export interface ReconcileDependencies extends Pick<Egress, 'lookup'> {
  readonly config: Config;
  readonly redis: RedisConnection;
  readonly intake: Pick<Intake, 'accept'>;
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
}

/** Undefined if the brand has no gateway to ask, or no key for it. */
export function createBrandScope(dependencies: ReconcileDependencies, brand: Brand): BrandScope | undefined {
  const { config, redis, intake, log, metrics, random, lookup } = dependencies;
  const { clock = systemClock } = dependencies;
  const apiKeys = createGatewayKeys({ brand, apiKeysFile: config.apiKeysFile, elapsed: () => clock.elapsed() });
  if (brand.gatewayBaseUrl === undefined || apiKeys().length === 0) return undefined;
  return {
    brand: brand.name,
    queue: brandQueue(brand.name, config),
    redis,
    gateway: createGatewayClient({
      brand,
      baseUrl: brand.gatewayBaseUrl,
      egress: { proxies: config, lookup },
      apiKeys,
      log,
      metrics,
      clock,
      random,
    }),
    intake,
    limits: {
      graceMs: config.RECONCILE_GRACE,
      sinceMs: config.RECONCILE_SINCE,
      dedupTtlMs: config.DEDUP_TTL,
      lookbackMs: lookbackOf({ everyMs: config.RECONCILE_EVERY, lookbackMs: config.RECONCILE_LOOKBACK }),
    },
    confirm: brand.confirm,
    holdMismatched: config.HOLD_MISMATCHED,
    confirmAfterMs: config.RECONCILE_GRACE + config.RECONCILE_EVERY,
    clock,
    log,
    metrics,
  };
}

/** The scopes of all brands that can be reconciled, or of the named one. */
export function createBrandScopes(dependencies: ReconcileDependencies, only?: string): BrandScope[] {
  return [...dependencies.config.brands.values()]
    .filter(({ name }) => only === undefined || name === only)
    .map((brand) => createBrandScope(dependencies, brand))
    .filter((scope) => scope !== undefined);
}
