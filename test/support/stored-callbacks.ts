// Callbacks in a queue, stored as intake does and settled as a worker does, for tests of look-ups and lists.
import { UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { createAcceptBatch } from '../../src/store/accept/accept-batch.ts';
import { brandQueue, keysOf } from '../../src/redis/brand-queue.ts';
import { createNonce, toJobData, type Source } from '../../src/callback/job.ts';
import { callbackOf, newReference, type CallbackFields } from './callbacks.ts';

export interface StoredFields extends CallbackFields {
  readonly source?: Source;
  readonly receivedAtMs?: number;
  /** The nonce of a removed job that it replaces. */
  readonly insteadOf?: string | undefined;
}

const times = { DEDUP_TTL: 600_000, RETAIN_COMPLETED: 600_000, RETAIN_FAILED: 600_000, QUARANTINE_RETAIN: 600_000 };

/** A separate queue on a shared server. */
export function createStoredCallbacks(url: string, brand = 'default', prefix = `{${randomUUID()}}`) {
  const redis = new Redis(url);
  const queue = brandQueue(brand, { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: prefix });
  const accept = createAcceptBatch(redis, queue, times, { replicas: 0, timeoutMs: 0 });
  const workerConnection = new Redis(url, { maxRetriesPerRequest: null });
  const worker = new Worker(queue.name, null, { connection: workerConnection, prefix: queue.prefix });
  worker.on('error', () => undefined);

  async function take() {
    const job = await worker.getNextJob('token', { block: false });
    if (job === undefined) throw new Error('No job waits.');
    return job;
  }

  return {
    redis,
    queue,
    prefix,
    queues: new Map([[brand, queue]]),

    /** Stores one and returns its reference. */
    async store({
      source = 'callback',
      receivedAtMs = Date.now(),
      insteadOf,
      ...fields
    }: StoredFields = {}): Promise<string> {
      const reference = fields.reference ?? newReference();
      const callback = callbackOf({ ...fields, reference });
      const receivedAt = new Date(receivedAtMs).toISOString();
      const data = JSON.stringify(toJobData(callback, { brand, source, receivedAt, requestId: 'request' }));
      await accept([{ callback, source, receivedAtMs, nonce: createNonce(), insteadOf, data }]);
      return reference;
    },

    /** Makes the longest waiting one active. */
    take,

    async deliver({ atMs = Date.now() } = {}): Promise<void> {
      const job = await take();
      await job.moveToCompleted({ at: atMs, status: 200, ms: 12, attempt: 1 }, 'token', false);
    },

    async fail(answer = 'no, M-Pesa 254700000000'): Promise<void> {
      const job = await take();
      await job.log(JSON.stringify({ attempt: 1, at: Date.now(), ms: 7, status: 500, answer }));
      await job.moveToFailed(new UnrecoverableError('HTTP 500'), 'token', false);
    },

    /** Holds the next job that a worker would take. */
    async hold(reason = 'denied'): Promise<void> {
      const jobId = (await redis.rpop(`${queue.base}:wait`)) ?? '';
      await redis.hset(keysOf.job(queue, jobId), 'held', reason);
      await redis.zadd(keysOf.held(queue), Date.now(), jobId);
    },

    async retryLater(atMs: number): Promise<void> {
      const job = await take();
      await job.log(JSON.stringify({ attempt: 1, at: Date.now(), ms: 15_000, error: 'timeout' }));
      await job.moveToDelayed(atMs, 'token');
    },

    async [Symbol.asyncDispose](): Promise<void> {
      await worker.close(true);
      workerConnection.disconnect();
      redis.disconnect();
    },
  };
}

export type StoredCallbacks = ReturnType<typeof createStoredCallbacks>;
