// BullMQ's worker with five fixes:
//
// - A job whose data is not JSON also reaches its processor. BullMQ would throw while building the job, before any of our
//   code: the job would stay active until its lock expires, come back, and so on for ever. Here the processor gets `null` as
//   data, which is not a callback, and fails the job like any other invalid one. The hash keeps its content.
// - It does not use INFO. BullMQ reads the server's version once, and a worker that is refused INFO (by managed servers)
//   would fail for good, in a loop that blocks the event loop.
// - Times are Redis's, not this machine's (redis-clock.ts).
// - If Redis refuses to hand out a job, it asks again after a pause. BullMQ asks at once, as fast as Redis answers.
// - Our own fields in a job's hash are kept (noted-fields.ts).
//
// A class, against this project's habit, because BullMQ can only be changed by overriding.
import { setTimeout as delay } from 'node:timers/promises';
import { RedisConnection, Worker, type Job, type JobJson, type Processor, type WorkerOptions } from 'bullmq';
import { keepNotedFields } from './noted-fields.ts';
import { useRedisClock } from './redis-clock.ts';
import { parseJson } from '../callback/json-text.ts';

const refusedPauseMs = 1_000;
/** The capabilities of the oldest supported server (Redis 6.2). Without INFO BullMQ would assume fewer. */
const capabilities = { canDoubleTimeout: true, canBlockFor1Ms: false };

export class QueueWorker<Result> extends Worker<unknown, Result> {
  /** Set while BullMQ's constructor runs, so the field must not have an initializer. */
  declare private linkNoted: ReturnType<typeof keepNotedFields> | undefined;

  constructor(name: string, processor: Processor<unknown, Result>, options: WorkerOptions) {
    super(name, processor, { ...options, skipVersionCheck: true });
  }

  /** BullMQ would round each wait for a delayed job up to whole seconds. */
  protected override createBackend(): void {
    super.createBackend();
    useRedisClock(this.backend);
    this.linkNoted = keepNotedFields(this.backend);
    const blocking: unknown = Reflect.get(this.backend, 'blockingConnection');
    if (!(blocking instanceof RedisConnection)) throw new TypeError("BullMQ's backend has no blocking connection");
    blocking.client.then(
      () => Object.assign(blocking.capabilities, capabilities),
      () => undefined, // closed before it was ready
    );
  }

  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      if (this.closing === undefined) await delay(refusedPauseMs);
      throw error;
    }
  }

  protected override createJob(json: JobJson, jobId: string): Job<unknown, Result> {
    const job = this.toJob(json, jobId);
    this.linkNoted?.(job, jobId);
    job.processedOn = Date.now(); // the lock's renewal counts from it on this machine's clock
    return job;
  }

  private toJob(json: JobJson, jobId: string): Job<unknown, Result> {
    try {
      return super.createJob(json, jobId);
    } catch (error) {
      if (parseJson(json.data) !== undefined) throw error;
      return super.createJob({ ...json, data: 'null' }, jobId);
    }
  }
}
