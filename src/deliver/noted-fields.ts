// What stands in a job's hash beside BullMQ's own fields when a worker takes the job. Costs no call: BullMQ's scripts hand
// the whole hash over, and its backend drops what it does not know.
import type { RedisQueueBackend } from 'bullmq';

export interface NotedFields {
  /** A correction took its place. */
  readonly superseded: boolean;
  /** Made before it was replayed. */
  readonly attemptsBefore: number;
  /** What the gateway said of it: `yes`, `denied`, '' for nothing. */
  readonly confirmed: string;
}

const ofJobs = new WeakMap<object, NotedFields>();
const nothing: NotedFields = { superseded: false, attemptsBefore: 0, confirmed: '' };

export function notedOf(job: object): NotedFields {
  return ofJobs.get(job) ?? nothing;
}

/** In a reply that hands a job over: its hash as names and values in turn, and its id. */
const hashAt = 0;
const idAt = 1;

/** Returns what links a job, made of a reply of this backend, to the fields that were noted in it. */
export function keepNotedFields(backend: RedisQueueBackend): (job: object, jobId: string) => void {
  const taken = new Map<string, NotedFields>();
  const execCommand = backend.execCommand.bind(backend);
  backend.execCommand = async (client, name: string, args: unknown[]): Promise<unknown> => {
    const reply: unknown = await execCommand(client, name, args);
    if (Array.isArray(reply) && Array.isArray(reply[hashAt])) taken.set(String(reply[idAt]), toNoted(reply[hashAt]));
    return reply;
  };
  return (job, jobId) => {
    const noted = taken.get(jobId);
    taken.delete(jobId);
    if (noted !== undefined) ofJobs.set(job, noted);
  };
}

function toNoted(flat: readonly unknown[]): NotedFields {
  const valueOf = (name: string) => {
    const at = flat.findIndex((field, index) => index % 2 === 0 && field === name);
    return at < 0 ? '' : String(flat[at + 1]);
  };
  return {
    superseded: valueOf('superseded') === '1',
    attemptsBefore: Number(valueOf('attemptsBefore')),
    confirmed: valueOf('confirmed'),
  };
}
