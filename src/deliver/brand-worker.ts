// The worker of one brand: BullMQ's, with the options on which the delivery promises depend, and the brand's breaker.
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { createDeliveryRecords } from '../store/callbacks/delivery-records.ts';
import { clearBreaker } from '../store/lifecycle/forwarding.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Attempt } from './attempt.ts';
import { createTimesClamp } from './clamp-times.ts';
import { createBreaker, type BreakerSettings } from './breaker/breaker.ts';
import { ContentMissingError, createProcessor, type Returned } from './process-job.ts';
import { QueueWorker } from './queue-worker.ts';
import type { Slots } from './slots.ts';

export interface BrandWorkerDependencies {
  readonly queue: BrandQueue;
  readonly redis: RedisConnection;
  readonly attempt: Attempt;
  /** Undefined if there is no destination that could be down. */
  readonly breakerSettings: BreakerSettings | undefined;
  readonly slots: Slots;
  readonly config: Pick<Config, 'FORWARD_TIMEOUT' | 'FORWARD_RETRIES' | 'CONFIRM_WAIT' | 'brands'>;
  readonly stop: AbortSignal;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
}

/** A lock lasts this much longer than any attempt, although it is renewed: a busy process may be late. */
const lockMarginMs = 10_000;
/** How often the jobs of dead workers are looked for. */
const stalledIntervalMs = 5_000;
/** BullMQ fails a job that stalls more often than this; a crash must never fail a payment. */
const maxStalledCount = Number.MAX_SAFE_INTEGER;
/**
 * While one job of a slot is being settled in Redis, the next one is delivered: FORWARD_CONCURRENCY limits the slots, not the
 * jobs that are held.
 */
const jobsPerSlot = 2;
/** An error that was not seen for this long is logged again; and how many different errors are remembered. */
const quietMs = 60_000;
const errorsMax = 100;
/** How often a worker checks whether the queue is still held back. */
const heldLookMs = 500;

export function startBrandWorker(dependencies: BrandWorkerDependencies) {
  const { queue, redis, breakerSettings, slots, config, log, metrics } = dependencies;
  const { brand } = queue;
  const breaker =
    breakerSettings === undefined
      ? undefined
      : createBreaker({
          queue,
          redis,
          log,
          onPhase(phase) {
            metrics.breakerOpen.set({ brand }, phase === 'open' ? 1 : 0);
            if (phase === 'open') slots.dismiss(brand);
          },
          settings: breakerSettings,
          timeoutMs: config.FORWARD_TIMEOUT,
          concurrency: slots.maxPerBrand,
        });
  const records = createDeliveryRecords({ redis, queue, log });
  const confirmWaitMs = config.brands.get(brand)?.confirm === 'before' ? config.CONFIRM_WAIT : 0;
  const scheduleMs = config.FORWARD_RETRIES;
  const processJob = createProcessor({ ...dependencies, records, breaker, scheduleMs, confirmWaitMs });

  const worker = new QueueWorker<Returned>(queue.name, async (job, token) => processJob(job, token), {
    connection: redis,
    prefix: queue.prefix,
    concurrency: slots.maxPerBrand * jobsPerSlot,
    lockDuration: config.FORWARD_TIMEOUT + lockMarginMs,
    stalledInterval: stalledIntervalMs,
    maxStalledCount,
    maximumRateLimitDelay: heldLookMs,
  });
  logWorkerErrors(worker, dependencies);
  worker.on('stalled', (jobId) => log.warn({ event: 'delivery.stalled', brand, jobId }));
  dropEmptyJobs(worker, dependencies);
  if (breaker === undefined) leaveNoBreaker(redis, queue, log);
  breaker?.start();
  const timesClamp = createTimesClamp({
    queue,
    redis,
    stalledIntervalMs,
    lockMs: config.FORWARD_TIMEOUT + lockMarginMs,
  });
  timesClamp.start();
  records.start();

  return {
    /** Takes no more jobs and resolves when the last one is settled. */
    async close(): Promise<void> {
      await worker.close();
      breaker?.stop();
      void timesClamp.stop(); // not waited for: while Redis is down a round does not end
      await records.stop();
    },
  };
}

/**
 * BullMQ recovers by itself, but without a listener an error would end the process. It emits one per try, several a second
 * while Redis is down or refuses, so the same error is logged once, and again only after a quiet period.
 */
function logWorkerErrors(worker: QueueWorker<Returned>, { queue: { brand }, log, now }: BrandWorkerDependencies): void {
  const lastAtMs = new Map<string, number>();
  worker.on('error', (error: Error & { code?: unknown }) => {
    const { code = error.name, message: reason } = error;
    const isNews = now() - (lastAtMs.get(reason) ?? 0) > quietMs;
    if (lastAtMs.size === errorsMax) lastAtMs.clear();
    lastAtMs.set(reason, now());
    if (isNews) log.warn({ event: 'delivery.worker_error', brand, code, reason });
  });
}

/**
 * Drops jobs without content, as if they had been removed completely: they become `removed`, not `failed`, and reconciliation
 * finds them.
 */
function dropEmptyJobs(worker: QueueWorker<Returned>, { queue: { brand }, log }: BrandWorkerDependencies): void {
  worker.on('failed', (job, error) => {
    if (job === undefined || !(error instanceof ContentMissingError)) return;
    log.warn({ event: 'delivery.content_missing', brand, jobId: job.id });
    job
      .remove()
      .catch((reason: unknown) => log.warn({ event: 'delivery.worker_error', brand, reason: String(reason) }));
  });
}

/** A breaker left open by an earlier HTTP destination would hold back deliveries to a module for ever. */
function leaveNoBreaker(redis: RedisConnection, queue: BrandQueue, log: Log): void {
  clearBreaker(redis, queue).catch((error: unknown) =>
    log.warn({ event: 'breaker.unknown', brand: queue.brand, err: error }),
  );
}
