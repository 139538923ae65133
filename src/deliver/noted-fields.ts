// What stands in a job's hash beside BullMQ's own fields when a worker takes the job. Costs no call: BullMQ's scripts hand
// the whole hash over, and its backend drops what it does not know.
import type { RedisQueueBackend } from 'bullmq';
import type { RedisConnection } from '../redis/connections.ts';

export interface NotedFields {
  /** A correction took its place. */
  readonly superseded: boolean;
  /** Made before it was replayed. */
  readonly attemptsBefore: number;
  readonly isReplayed: boolean;
  /** What the gateway said of it: `yes`, `denied`, `open` where it cannot tell, '' for nothing. */
  readonly confirmed: string;
  /** Whether its data is there: somebody, or a Redis that evicts keys, may have removed the job and left its id. */
  readonly hasContent: boolean;
}

const ofJobs = new WeakMap<object, NotedFields>();

/** Undefined for a job that no QueueWorker took. */
export function notedOf(job: object): NotedFields | undefined {
  return ofJobs.get(job);
}

export async function readNoted(redis: RedisConnection, jobKey: string): Promise<NotedFields> {
  const names = ['superseded', 'attemptsBefore', 'replayedAt', 'confirmed', 'data'];
  const values = await redis.hmget(jobKey, ...names);
  return toNoted(names.flatMap((name, at) => [name, values[at] ?? '']));
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
    isReplayed: valueOf('replayedAt') !== '',
    confirmed: valueOf('confirmed'),
    hasContent: valueOf('data') !== '',
  };
}
