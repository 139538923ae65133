// Delivery: hands every queued callback to its merchant, with one BullMQ worker per brand.
//
// Promises: at least once, never lost. A worker that dies loses its locks, and its jobs come back without a spent attempt.
// `stop` lets attempts in flight finish; those that cannot by the deadline go back to the queue, uncounted. BullMQ removes
// nothing: no job disappears by finishing.
import { setTimeout as delay } from 'node:timers/promises';
import { brandQueue } from '../redis/brand-queue.ts';
import { createRedis, type RedisConnection } from '../redis/connections.ts';
import type { Config } from '../config/config.ts';
import type { Egress } from '../http/http-pool.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { startBrandWorker } from './brand-worker.ts';
import { defaultBreakerSettings, type BreakerSettings } from './breaker/breaker.ts';
import { reservedNames } from './http/delivery-headers.ts';
import { createDestinations } from './destinations.ts';
import { createSlots } from './slots.ts';
import { tracedAttempt } from './traced-attempt.ts';

export interface DeliveryDependencies extends Pick<Egress, 'lookup'> {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Undefined if tracing is off. */
  readonly tracing?: Tracing | undefined;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly breakerSettings?: BreakerSettings;
}

/** Reserved from the deadline for giving jobs back once attempts are aborted. */
const giveBackMs = 1_000;

export function createDelivery(dependencies: DeliveryDependencies) {
  const { config, log, metrics, tracing } = dependencies;
  const { now = Date.now, random = Math.random, breakerSettings = defaultBreakerSettings } = dependencies;
  const destinations = createDestinations(config, log, now, dependencies.lookup);
  const brands = [...destinations.attempts.keys()];
  // Each brand has a slot of its own; otherwise a brand whose merchant hangs would hold up the others.
  const slots = createSlots(Math.max(destinations.concurrency, brands.length), brands);
  const stopping = new AbortController();
  let redis: RedisConnection | undefined;
  let workers: ReturnType<typeof startBrandWorker>[] = [];
  let checked: Promise<void> | undefined;
  const check = () => (checked ??= destinations.check());

  return {
    /** Throws ConfigError if HANDLER_MODULE is unusable. */
    check,

    /** Also throws that ConfigError; does not wait for Redis. */
    async start(): Promise<void> {
      await check();
      logReservedHeaders(config, log);
      if (config.FORWARD_CONCURRENCY < brands.length) {
        log.warn({ event: 'delivery.concurrency_raised', configured: config.FORWARD_CONCURRENCY, to: brands.length });
      }
      if (destinations.attempts.size === 0) return;
      const connection = createRedis(config.redis, { kind: 'worker' }, 'deliver', log);
      redis = connection;
      workers = [...destinations.attempts].map(([brand, attempt]) =>
        startBrandWorker({
          queue: brandQueue(brand, config),
          redis: connection,
          attempt: tracing === undefined ? attempt : tracedAttempt(attempt, tracing),
          breakerSettings: destinations.canBeDown ? breakerSettings : undefined,
          slots,
          config,
          stop: stopping.signal,
          log,
          metrics,
          now,
          random,
        }),
      );
    },

    /** Resolves within the deadline, even if Redis is down. */
    async stop(deadlineMs: number): Promise<void> {
      slots.close(); // jobs without a slot go back at once
      const breakOff = setTimeout(() => stopping.abort(), Math.max(deadlineMs - giveBackMs, 0));
      const closed = Promise.all(workers.map(async (worker) => worker.close()));
      await Promise.race([closed, delay(deadlineMs, undefined, { ref: false })]);
      clearTimeout(breakOff);
      await destinations.close();
      redis?.disconnect();
    },
  };
}

/** Reports headers that are never sent: otherwise somebody would expect them. */
function logReservedHeaders({ brands }: Config, log: Log): void {
  for (const { name: brand, forwardHeaders } of brands.values()) {
    const headers = reservedNames(forwardHeaders);
    if (headers.length > 0) log.warn({ event: 'delivery.headers_left_out', brand, headers });
  }
}
