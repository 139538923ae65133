// Delivery: one BullMQ worker per brand that hands callbacks to the merchant.
//
// Promises: at least once, never lost. A worker that dies loses its locks, and its jobs come back without having been
// counted. `stop` lets attempts in flight finish; those that cannot within the deadline go back to the queue.
// Retention is not BullMQ's here: no job is ever removed by finishing.
import { Worker } from 'bullmq';
import { brandQueue } from '../queue/brand-queue.ts';
import { createRedis, type RedisConnection } from '../queue/connections.ts';
import type { Brand } from '../runtime/brands.ts';
import type { Config } from '../runtime/config.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Attempt } from './attempt.ts';
import { createBreaker, defaultBreakerSettings, type Breaker, type BreakerSettings } from './breaker.ts';
import { createHttpAttempt } from './http-attempt.ts';
import { createProcessor, type Returned } from './process-job.ts';
import { createSlots } from './slots.ts';

export interface DeliveryDependencies {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly breakerSettings?: BreakerSettings;
}

interface Destination {
  readonly brand: Brand;
  readonly attempt: Attempt;
  readonly close: () => Promise<void>;
}

/** A lock outlives any attempt by this much, though it is renewed: a busy process may be late. */
const lockMarginMs = 10_000;
/** While the queue is held back, a worker looks this often whether it still is. */
const heldLookMs = 500;
/** How often the jobs of dead workers are looked for. */
const stalledIntervalMs = 5_000;
/** BullMQ fails a job that stalls more often; a crash must never fail a payment. */
const maxStalledCount = Number.MAX_SAFE_INTEGER;
/** What is left of the deadline for giving jobs back once attempts are broken off. */
const giveBackMs = 1_000;

export type DeliveryStage = ReturnType<typeof createDelivery>;

export function createDelivery({
  config,
  log,
  metrics,
  now = Date.now,
  random = Math.random,
  breakerSettings = defaultBreakerSettings,
}: DeliveryDependencies) {
  const stopping = new AbortController();
  const workers: Worker[] = [];
  const breakers: Breaker[] = [];
  let destinations: Destination[] = [];
  let redis: RedisConnection | undefined;
  let slots = createSlots(1, []);

  function startWorker({ brand, attempt }: Destination, connection: RedisConnection, concurrency: number): void {
    const queue = brandQueue(brand.name, config);
    const breaker = createBreaker({
      queue,
      redis: connection,
      log,
      onPhase: (phase) => metrics.breakerOpen.set({ brand: brand.name }, phase === 'open' ? 1 : 0),
      settings: breakerSettings,
      timeoutMs: config.FORWARD_TIMEOUT,
      concurrency,
    });
    const processJob = createProcessor({
      queue,
      redis: connection,
      attempt,
      breaker,
      slots,
      scheduleMs: config.FORWARD_RETRIES,
      stop: stopping.signal,
      log,
      metrics,
      now,
      random,
    });
    const worker = new Worker<unknown, Returned>(queue.name, async (job, token) => processJob(job, token), {
      connection,
      prefix: queue.prefix,
      concurrency,
      lockDuration: config.FORWARD_TIMEOUT + lockMarginMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount,
      maximumRateLimitDelay: heldLookMs,
    });
    // Without a listener an error would end the process. BullMQ goes on by itself.
    worker.on('error', (error) => log.warn({ event: 'delivery.worker-error', brand: brand.name, err: error }));
    worker.on('stalled', (jobId) => log.warn({ event: 'delivery.stalled', brand: brand.name, jobId }));
    breaker.start();
    breakers.push(breaker);
    workers.push(worker);
  }

  return {
    async start(): Promise<void> {
      destinations = [...config.brands.values()].flatMap((brand) => httpDestination(brand, config, now));
      if (destinations.length === 0) return;
      slots = createSlots(
        config.FORWARD_CONCURRENCY,
        destinations.map(({ brand }) => brand.name),
      );
      const connection = createRedis(config.redis, { kind: 'worker' }, 'deliver', log);
      redis = connection;
      for (const destination of destinations) startWorker(destination, connection, slots.maxPerBrand);
    },

    async stop(deadlineMs: number): Promise<void> {
      const breakOff = setTimeout(
        () => {
          slots.close();
          stopping.abort();
        },
        Math.max(deadlineMs - giveBackMs, 0),
      );
      const giveUp = AbortSignal.timeout(deadlineMs);
      const closed = Promise.all(workers.map(async (worker) => worker.close()));
      await Promise.race([closed, new Promise((resolve) => giveUp.addEventListener('abort', resolve, { once: true }))]);
      clearTimeout(breakOff);
      for (const breaker of breakers) breaker.stop();
      await Promise.all(destinations.map(async ({ close }) => close()));
      redis?.disconnect();
    },
  };
}

function httpDestination(brand: Brand, config: Config, now: () => number): Destination[] {
  if (brand.forwardUrl === undefined) return [];
  const { attempt, close } = createHttpAttempt({
    url: brand.forwardUrl,
    brand,
    timeoutMs: config.FORWARD_TIMEOUT,
    connectionsMax: config.FORWARD_CONCURRENCY,
    now,
  });
  return [{ brand, attempt, close }];
}
