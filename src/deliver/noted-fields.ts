// Our own fields in a job's hash, read when a worker takes the job. Costs no extra call: BullMQ's scripts return the whole
// hash, and its backend drops unknown fields.
import type { RedisQueueBackend } from 'bullmq';
import type { RedisConnection } from '../redis/connections.ts';

export interface NotedFields {
  /** A correction replaced it. */
  readonly superseded: boolean;
  /** Attempts made before it was replayed. */
  readonly attemptsBefore: number;
  readonly isReplayed: boolean;
  /** The gateway's answer: `yes`, `denied`, `open` if it cannot be decided, '' if there is none. */
  readonly confirmed: string;
  /** Whether its data exists: a program, or a Redis that evicts keys, may have removed the job and left its id. */
  readonly hasContent: boolean;
}

const ofJobs = new WeakMap<object, NotedFields>();

/** Undefined if the job was not taken by a QueueWorker. */
export function notedOf(job: object): NotedFields | undefined {
  return ofJobs.get(job);
}

export async function readNoted(redis: RedisConnection, jobKey: string): Promise<NotedFields> {
  const names = ['superseded', 'attemptsBefore', 'replayedAt', 'confirmed', 'data'];
  const values = await redis.hmget(jobKey, ...names);
  return toNoted(names.flatMap((name, at) => [name, values[at] ?? '']));
}

/** The positions of the job's hash (names and values alternating) and of its id in the reply. */
const hashAt = 0;
const idAt = 1;

/** Returns a function that attaches the noted fields of this backend's replies to the jobs made from them. */
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
