// One job, from the moment a worker takes it until it is settled: delivered, waiting for a retry, or failed.
//
// Promises: only an attempt that the merchant (or its function) failed is counted; a crash, a shutdown or a lost Redis costs
// none. Every counted attempt is recorded: failed ones as lines in the job's log, the successful one as its return value. A
// first attempt that succeeds needs no round trip of ours. A job with invalid data fails and keeps its data; one of a later
// version waits.
import { DelayedError, UnrecoverableError, WaitingError, type Job } from 'bullmq';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../redis/brand-queue.ts';
import { createWriteGathering, type RedisConnection } from '../redis/connections.ts';
import { heedGivenBack } from '../store/confirmation/heed-given-back.ts';
import type { DeliveryRecords } from '../store/callbacks/delivery-records.ts';
import { amountCheckOf, isMismatch } from '../callback/amount-check.ts';
import { isOfLaterVersion, jobSchema, laterVersionWaitMs, type JobData } from '../callback/job.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Attempt, AttemptResult, Delivery } from './attempt.ts';
import { isOutage, type Breaker, type FailureVerdict } from './breaker/breaker.ts';
import type { Slots } from './slots.ts';
import { notedOf, readNoted } from './noted-fields.ts';
import { confirmationDueInMs } from './await-confirmation.ts';
import { toDelivery } from './delivery-identity.ts';
import { verdictOf, type Verdict } from './verdict.ts';

/** A job's return value: the successful attempt, or a note that a correction replaced the job. */
export type Returned =
  | { readonly at: number; readonly status?: number; readonly ms: number; readonly attempt: number }
  | { readonly superseded: true };

export type CallbackJob = Job<unknown, Returned>;

export interface ProcessorDependencies {
  readonly queue: BrandQueue;
  readonly redis: RedisConnection;
  readonly attempt: Attempt;
  /** The destination's breaker; a handler module has none. */
  readonly breaker: Breaker | undefined;
  readonly slots: Slots;
  readonly records: Omit<DeliveryRecords, 'start' | 'stop'>;
  readonly scheduleMs: readonly number[];
  /** 0 if deliveries do not wait for the gateway's confirmation. */
  readonly confirmWaitMs: number;
  /** Aborted at shutdown, when the time for attempts in flight is over. */
  readonly stop: AbortSignal;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
}

type Made = Exclude<AttemptResult, { kind: 'aborted' }>;

type AttemptMade =
  | { readonly kind: 'counted'; readonly verdict: Verdict; readonly record: AttemptRecord }
  | { readonly kind: 'aborted' }
  | Held;

type Held = Exclude<FailureVerdict, { kind: 'counted' }>;

/** How long a job rests after an error of our own, so that it does not spin. */
const restMs = 1_000;

export function createProcessor(dependencies: ProcessorDependencies) {
  const { queue, redis, attempt, breaker, slots, records, scheduleMs, stop } = dependencies;
  const { confirmWaitMs, log, metrics, now, random } = dependencies;
  const gatherWrites = createWriteGathering(redis);

  return async function processJob(job: CallbackJob, token = ''): Promise<Returned> {
    const jobId = job.id ?? '';
    if (isOfLaterVersion(job.data)) {
      log.warn({ event: 'delivery.of_later_version', brand: queue.brand, jobId });
      return putBack(() => job.moveToDelayed(now() + laterVersionWaitMs, token));
    }
    if (notedOf(job)?.hasContent === false) throw new ContentMissingError();
    const data = parseData(job);
    records.take(jobId);
    try {
      return await deliver(job, token, data);
    } catch (error) {
      if (isSettled(error)) throw error;
      // Our error or Redis's, not the merchant's. If even resting fails, the lock expires and the job comes back.
      log.error({ event: 'delivery.broken', brand: queue.brand, jobId: job.id, err: error });
      return putBack(() => job.moveToDelayed(now() + restMs, token));
    } finally {
      records.release(jobId);
      gatherWrites(); // BullMQ is about to settle the job
    }
  };

  async function deliver(job: CallbackJob, token: string, data: JobData): Promise<Returned> {
    const takenMs = performance.now();
    const past = notedOf(job) ?? (await readNoted(redis, keysOf.job(queue, job.id ?? '')));
    if (past.superseded) return { superseded: true };
    const waitMs = await confirmationDueInMs(redis, data, past, confirmWaitMs);
    if (waitMs > 0) return giveBack(job, token, waitMs);
    const release = await slots.take(queue.brand);
    if (release === undefined) return putBack(() => job.moveToWait(token));
    const delivery = toDelivery(data, past.attemptsBefore + job.attemptsMade + 1, past.confirmed);
    const made = await make(job, delivery, takenMs).finally(release);
    switch (made.kind) {
      case 'counted':
        // A held mismatch was counted when it was held.
        if (delivery.attempt === 1 && !past.isReplayed) countMismatch(data);
        return settle(job, token, made.verdict, made.record);
      case 'aborted':
        return putBack(() => job.moveToWait(token));
      case 'straggler':
      case 'probe':
        // Lets untried callbacks go first: this one may be the cause itself.
        return putBack(() => job.moveToDelayed(now() + made.restMs, token));
    }
  }

  function countMismatch(data: JobData): void {
    const check = amountCheckOf(data);
    if (isMismatch(check)) metrics.amountMismatches.inc({ kind: check });
  }

  /** As if no worker had taken it: it continues to wait for its confirmation. */
  function giveBack(job: CallbackJob, token: string, waitMs: number): Promise<never> {
    return putBack(async () => {
      await redis.hdel(keysOf.job(queue, job.id ?? ''), 'ats');
      await job.moveToDelayed(now() + waitMs, token);
      await heedGivenBack(redis, queue, job.id ?? '');
    });
  }

  /** Keeps its slot until the breaker knows the result; otherwise the next callback would run into the same outage. */
  async function make(job: CallbackJob, delivery: Delivery, takenMs: number): Promise<AttemptMade> {
    const at = now();
    const startedMs = performance.now();
    const result = await attempt(delivery, stop);
    if (result.kind === 'aborted') return result;
    const ms = Math.round(performance.now() - startedMs);
    const verdict = verdictOf({ result, position: job.attemptsMade, scheduleMs, nowMs: now(), random: random() });
    const held = await heldBy(job, result, takenMs);
    report({ delivery, result, verdict, held: held !== undefined, ms });
    if (held !== undefined) return held;
    return { kind: 'counted', verdict, record: { attempt: delivery.attempt, at, ms, ...outcomeOf(result) } };
  }

  /** Reports to the breaker. While it is open, a failure is the destination's and costs the callback no attempt. */
  async function heldBy(job: CallbackJob, result: Made, takenMs: number): Promise<Held | undefined> {
    if (breaker === undefined) return undefined;
    if (!isOutage(result)) {
      await breaker.success(performance.now() - takenMs);
      return undefined;
    }
    const verdict = await breaker.failure(job.id ?? '', performance.now() - takenMs, result);
    return verdict.kind === 'counted' ? undefined : verdict;
  }

  async function settle(job: CallbackJob, token: string, verdict: Verdict, made: AttemptRecord): Promise<Returned> {
    if (verdict.kind === 'done') {
      const { at, status, ms, attempt } = made;
      records.delivered(job.id ?? '', at);
      return { at, ...(status !== undefined && { status }), ms, attempt };
    }
    const { superseded } = await record(job, made, verdict.kind === 'retry');
    if (superseded) return { superseded: true };
    if (verdict.kind === 'failed') throw new UnrecoverableError(verdict.reason);
    return putBack(() => job.moveToDelayed(now() + verdict.waitMs, token));
  }

  /** Records a failed attempt. BullMQ counts the last one itself (`atm`) when it moves the job to `failed`. */
  async function record(job: CallbackJob, made: AttemptRecord, count: boolean): Promise<{ superseded: boolean }> {
    const jobKey = keysOf.job(queue, job.id ?? '');
    const multi = redis.multi().rpush(keysOf.jobLog(queue, job.id ?? ''), JSON.stringify(made));
    if (count) multi.hincrby(jobKey, 'atm', 1);
    const replies = (await multi.hget(jobKey, 'superseded').exec()) ?? [];
    for (const [error] of replies) if (error !== null) throw error;
    return { superseded: replies.at(-1)?.[1] === '1' };
  }

  function report({ delivery, result, verdict, held, ms }: Report): void {
    const { job, webhookId, attempt } = delivery;
    const outcome = verdict.kind === 'done' ? 'delivered' : verdict.kind === 'retry' || held ? 'retried' : 'failed';
    metrics.deliveries.inc({ outcome });
    metrics.deliverySeconds.observe(ms / 1_000);
    if (verdict.kind === 'done')
      metrics.endToEndSeconds.observe(Math.max(now() - Date.parse(job.receivedAt), 0) / 1_000);
    const { answer: _, ...outcomeFields } = outcomeOf(result);
    log[outcome === 'failed' ? 'error' : 'info']({
      event: 'delivery.attempted',
      brand: queue.brand,
      gatewayReference: job.gatewayReference,
      webhookId,
      attempt,
      ...outcomeFields,
      ms,
      verdict: held ? 'held' : outcome,
      ...(verdict.kind === 'retry' && !held && { waitMs: verdict.waitMs }),
      requestId: job.requestId,
    });
  }
}

interface Report {
  readonly delivery: Delivery;
  readonly result: Made;
  readonly verdict: Verdict;
  readonly held: boolean;
  readonly ms: number;
}

/** An attempt as it is recorded. */
interface AttemptRecord {
  readonly attempt: number;
  readonly at: number;
  readonly ms: number;
  readonly status?: number;
  readonly error?: string;
  readonly answer?: string;
}

function outcomeOf(result: Made): { status?: number; error?: string; answer?: string } {
  switch (result.kind) {
    case 'answered':
      return { status: result.status, answer: result.answer };
    case 'returned':
      return {};
    case 'error':
    case 'permanent':
      return { error: result.error, ...(result.answer !== undefined && { answer: result.answer }) };
  }
}

/** The rest of such a job must be removed once BullMQ has settled it: nobody could deliver it. */
export class ContentMissingError extends UnrecoverableError {
  constructor() {
    super('the content of the job is gone from Redis');
  }
}

function parseData(job: CallbackJob): JobData {
  const parsed = jobSchema.safeParse(job.data);
  if (parsed.success) return parsed.data;
  throw new UnrecoverableError(
    `the job's data is no callback of version 1: ${z.prettifyError(parsed.error).replaceAll(/\s+/g, ' ')}`,
  );
}

/**
 * Gives the job back, and tells BullMQ to leave it alone. If that fails (Redis is down, the lock is lost), another worker
 * already has the job, or it comes back when its lock expires; it must not count as failed here.
 */
async function putBack(move: () => Promise<unknown>): Promise<never> {
  await move().catch(() => undefined);
  throw new WaitingError();
}

function isSettled(error: unknown): boolean {
  return error instanceof WaitingError || error instanceof DelayedError || error instanceof UnrecoverableError;
}
