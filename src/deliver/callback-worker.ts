// A BullMQ worker for merchants who would rather consume the queue than be called. Exported by the package.
//
// It is a plain worker of the public job: BullMQ retries a throw by the job's own options. Invalid job data and a
// PermanentError fail the job at once, and it is kept. A worker that crashes or stalls spends no attempt.
import { DelayedError, UnrecoverableError, type ConnectionOptions } from 'bullmq';
import { isOfLaterVersion, jobSchema, laterVersionWaitMs } from '../callback/job.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import { toDelivery } from './delivery-identity.ts';
import { toHandledCallback, type CallbackHandler } from './handler/handled-callback.ts';
import { isPermanent } from './handler/permanent-error.ts';
import { notedOf } from './noted-fields.ts';
import { QueueWorker } from './queue-worker.ts';

export interface CallbackWorkerOptions {
  /** As in BullMQ: `{ host, port, ... }`, `{ url }`, or an ioredis instance with `maxRetriesPerRequest: null`. */
  readonly connection: ConnectionOptions;
  /** QUEUE_NAME of the receiver. */
  readonly queueName?: string;
  /** QUEUE_PREFIX of the receiver. */
  readonly queuePrefix?: string;
  readonly brand?: string;
  /** Callbacks handled at once. */
  readonly concurrency?: number;
  /** How long an attempt may take before its signal is aborted. A handler that never ends keeps its place for ever. */
  readonly timeoutMs?: number;
  /** Errors of the worker itself (a lost connection, for instance), which it survives. Default: a line on stderr. */
  readonly onError?: (error: Error) => void;
}

export interface CallbackWorker {
  /** Takes no more callbacks and resolves when the current ones are finished. */
  close(): Promise<void>;
}

const defaults = { queueName: 'payalo-callbacks', queuePrefix: '{payalo}', brand: 'default', timeoutMs: 60_000 };

export function createCallbackWorker(handler: CallbackHandler, options: CallbackWorkerOptions): CallbackWorker {
  const {
    queueName,
    queuePrefix,
    brand,
    timeoutMs,
    connection,
    concurrency = 10,
    onError,
  } = { ...defaults, ...options };
  const queue = brandQueue(brand, { QUEUE_NAME: queueName, QUEUE_PREFIX: queuePrefix });
  const worker = new QueueWorker<unknown>(
    queue.name,
    async (job, token, cancelled) => {
      if (isOfLaterVersion(job.data)) {
        await job.moveToDelayed(Date.now() + laterVersionWaitMs, token);
        throw new DelayedError();
      }
      const data = jobSchema.safeParse(job.data);
      if (!data.success) throw new UnrecoverableError("the job's data is no callback of version 1");
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = cancelled === undefined ? timeout : AbortSignal.any([timeout, cancelled]);
      try {
        await handler(toHandledCallback(toDelivery(data.data, job.attemptsMade + 1, notedOf(job)?.confirmed), signal));
      } catch (error) {
        throw isPermanent(error) ? new UnrecoverableError(error instanceof Error ? error.message : 'permanent') : error;
      }
    },
    { connection, prefix: queue.prefix, concurrency, maxStalledCount: Number.MAX_SAFE_INTEGER },
  );
  worker.on('error', onError ?? ((error) => process.stderr.write(`callback worker: ${error.message}\n`)));
  return { close: async () => worker.close() };
}
