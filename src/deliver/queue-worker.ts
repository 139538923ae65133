// BullMQ's worker, mended in five places:
//
// - A job whose data is no JSON at all reaches its processor too. Left alone, BullMQ throws while it makes the job from
//   its hash, before any code of ours: the job stays active until its lock lapses, comes back, and so on for ever. Here
//   the processor gets `null` for data, which is no callback, and fails the job as it fails any other such one. The
//   hash keeps what it holds.
// - It asks for no INFO. BullMQ reads the server's version once, and a worker that is refused INFO (managed servers do
//   that) would fail for good, in a loop that never lets the event loop go on.
// - Times are Redis's, not this machine's (redis-clock.ts).
// - A Redis that refuses to hand out a job is asked again after a pause. BullMQ asks at once, as fast as Redis answers.
// - What stands in a job's hash beside BullMQ's own fields is kept (noted-fields.ts).
//
// A class, against the habit of this house, since overriding is the only door that BullMQ leaves.
import { setTimeout as delay } from 'node:timers/promises';
import { RedisConnection, Worker, type Job, type JobJson, type Processor, type WorkerOptions } from 'bullmq';
import { keepNotedFields } from './noted-fields.ts';
import { useRedisClock } from './redis-clock.ts';
import { parseJson } from '../callback/json-text.ts';

const refusedPauseMs = 1_000;
/** What the oldest server that is supported can do (Redis 6.2). Without INFO BullMQ would assume a worse one. */
const capabilities = { canDoubleTimeout: true, canBlockFor1Ms: false };

export class QueueWorker<Result> extends Worker<unknown, Result> {
  /** Set while BullMQ's constructor runs, so a field of it may have no initial value. */
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
    job.processedOn = Date.now(); // the lock's renewal counts from it, by this machine's clock
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
