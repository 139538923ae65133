// BullMQ's worker, except that a job whose data is no JSON at all reaches its processor too.
//
// Left alone, BullMQ throws while it makes the job from its hash, before any code of ours: the job stays active until its
// lock lapses, comes back, and so on for ever. Here the processor gets `null` for data, which is no callback, and
// fails the job as it fails any other such one. The hash keeps what it holds.
//
// A class, against the habit of this house, since overriding `createJob` is the only door that BullMQ leaves.
import { Worker, type Job, type JobJson } from 'bullmq';

export class QueueWorker<Result> extends Worker<unknown, Result> {
  protected override createJob(json: JobJson, jobId: string): Job<unknown, Result> {
    try {
      return super.createJob(json, jobId);
    } catch (error) {
      if (isJson(json.data)) throw error;
      return super.createJob({ ...json, data: 'null' }, jobId);
    }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
