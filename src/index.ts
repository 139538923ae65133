// The package `payalo-receiver` as other projects import it: a worker of their own for the queue, and the types.
export { createCallbackWorker, type CallbackWorker, type CallbackWorkerOptions } from './deliver/callback-worker.ts';
export type { CallbackHandler, HandledCallback } from './deliver/handler/handled-callback.ts';
export { PermanentError } from './deliver/handler/permanent-error.ts';
export { jobName, jobSchema, type JobData, type Source } from './callback/job.ts';
