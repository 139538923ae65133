// Reads jobs with everything known about them (claim, state, attempts, conflicts) through read-callbacks.lua: one command per
// page. Throws if Redis fails; a job that is gone comes back with its claim alone.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { readLineage } from '../../redis/brand-lineage.ts';
import { bullKeys, brandQueue, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import { pairs } from '../../redis/pairs.ts';
import { parseClaim, type Claim } from '../accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { followDeliveries, leaseLua } from './delivery-records.ts';
import { digestOfJob, jobSchema, type JobData } from '../../callback/job.ts';
import { defineScript } from '../../redis/script.ts';
import { heldReasons, type HeldReason } from '../../callback/confirmation.ts';
import { parseJson } from '../../callback/json-text.ts';

export interface JobRecord {
  readonly brand: string;
  readonly jobId: string;
  /** Undefined after DEDUP_TTL. */
  readonly claim: Claim | undefined;
  /** Undefined if the job is gone or was not written by this service. */
  readonly data: JobData | undefined;
  readonly returnvalue: string;
  readonly failedReason: string;
  /** When it was added to BullMQ. */
  readonly addedMs: number | undefined;
  readonly processedOnMs: number | undefined;
  readonly finishedOnMs: number | undefined;
  /** Ids of the jobs that this correction replaced, latest first. */
  readonly corrects: readonly string[];
  readonly erased: boolean;
  readonly place: Place;
  /** Whether a worker has taken it at least once. */
  readonly isStarted: boolean;
  /** The gateway's answer: `yes`, `denied`, or '' if none is noted. */
  readonly confirmed: string;
  readonly heldReason: HeldReason | undefined;
  readonly nextAttemptMs: number | undefined;
  readonly logCount: number;
  readonly logLines: readonly string[];
  /** `status|amount` -> quarantine id. */
  readonly conflicts: ReadonlyMap<string, string>;
}

/** Where the job is: in one of BullMQ's places, held outside them, or nowhere. */
export type Place = 'completed' | 'failed' | 'delayed' | 'active' | 'wait' | 'held' | 'gone';

/** A job has about a dozen attempts in its life; replays add to them. */
export const logLinesMax = 200;
/** At least the deliveries in flight of all processes. */
export const activeMax = 5_000;

const text = z.string();
const reply = z.array(
  z.tuple([
    text,
    text,
    z.tuple([text, text, text, text, text, text, text, text, text, text, text]),
    text,
    text,
    text,
    text,
    text,
    z.number(),
    z.number(),
    z.array(text),
    z.array(text),
  ]),
);
const readRows = defineScript({
  lua: leaseLua + readFileSync(new URL('./read-callbacks.lua', import.meta.url), 'utf8'),
  keyCount: 7,
  reply,
});

export function createJobReader(redis: RedisConnection) {
  async function read(queue: BrandQueue, jobIds: readonly string[], withLogs: boolean): Promise<JobRecord[]> {
    const places = bullKeys(queue, 'completed', 'failed', 'delayed', 'active');
    const keys = [...places, keysOf.inHand(queue), keysOf.held(queue), keysOf.denied(queue)];
    const rows = await readRows(redis, keys, [queue.base, withLogs ? logLinesMax : 0, activeMax, ...jobIds]);
    return rows.map((row) => toRecord(queue, row));
  }

  /** Reads what `brand move` has not copied yet, if the brand had another name. */
  async function readFormer(queue: BrandQueue, jobIds: readonly string[], withLogs: boolean) {
    const { formerly } = await readLineage(redis, queue);
    const found = new Map<string, JobRecord>();
    for (const name of formerly) {
      const former = brandQueue(name, queue.naming);
      await followDeliveries(redis, former, { all: true });
      for (const record of await read(former, jobIds, withLogs))
        if (record.place !== 'gone' || record.claim?.state !== undefined) found.set(record.jobId, record);
    }
    return found;
  }

  return async function readJobs(
    queue: BrandQueue,
    jobIds: readonly string[],
    { withLogs }: { withLogs: boolean },
  ): Promise<JobRecord[]> {
    if (jobIds.length === 0) return [];
    const records = await read(queue, jobIds, withLogs);
    const removed = records.filter(isRemoved).map(({ jobId }) => jobId);
    if (removed.length === 0) return records;
    // The merchant's own worker may have completed and removed it a moment ago, or it may still be on its way here.
    await followDeliveries(redis, queue, { all: true });
    const former = await readFormer(queue, removed, withLogs);
    return (await read(queue, jobIds, withLogs)).map((record) => {
      const found = isRemoved(record) ? former.get(record.jobId) : undefined;
      return found === undefined ? record : { ...found, brand: queue.brand, claim: found.claim ?? record.claim };
    });
  };
}

/** Its claim expects a job that is gone, and no delivery is recorded. */
export function isRemoved({ place, claim, jobId }: JobRecord): boolean {
  return place === 'gone' && claim?.jobId === jobId && claim.state === undefined;
}

export type JobReader = ReturnType<typeof createJobReader>;

function toRecord(queue: BrandQueue, row: z.infer<typeof reply>[number]): JobRecord {
  const [jobId, claim, fields, completed, failed, delayed, held, denied, isActive, logCount, logLines, conflicts] = row;
  const [data, returnvalue, failedReason, processedOn, finishedOn, corrects, erased, timestamp, ...more] = fields;
  const [started, confirmed, heldReason] = more;
  return {
    brand: queue.brand,
    jobId,
    claim: parseClaim(digestOfJob(jobId), claim),
    data: parseData(data),
    returnvalue,
    failedReason,
    addedMs: toNumber(timestamp),
    processedOnMs: toNumber(processedOn),
    finishedOnMs: toNumber(finishedOn),
    corrects: corrects === '' ? [] : corrects.split(','),
    erased: erased !== '',
    place: placeOf({ data, completed, failed, delayed, held, isActive }),
    isStarted: started !== '',
    confirmed: confirmed === '' && denied !== '' ? 'denied' : confirmed,
    heldReason: heldReasons.find((reason) => reason === heldReason),
    nextAttemptMs: delayed === '' ? undefined : Math.floor(Number(delayed) / delayedScoreFactor),
    logCount,
    logLines,
    conflicts: new Map(pairs(conflicts)),
  };
}

/** BullMQ's score of a delayed job is its time in ms times this, plus a counter (getDelayedScore.lua). */
const delayedScoreFactor = 0x1000;

interface Found {
  readonly data: string;
  readonly completed: string;
  readonly failed: string;
  readonly delayed: string;
  readonly held: string;
  readonly isActive: number;
}

function placeOf({ data, completed, failed, delayed, held, isActive }: Found): Place {
  if (data === '') return isActive === 1 ? 'active' : 'gone';
  if (completed !== '') return 'completed';
  if (failed !== '') return 'failed';
  if (held !== '') return 'held';
  if (isActive === 1) return 'active';
  return delayed === '' ? 'wait' : 'delayed';
}

export function parseData(json: string): JobData | undefined {
  return jobSchema.safeParse(parseJson(json)).data;
}

function toNumber(digits: string): number | undefined {
  return digits === '' ? undefined : Number(digits);
}
