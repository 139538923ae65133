// Moves a brand's jobs to another brand in batches: taken out of the old queue, put into the new one, removed.
//
// Promises: no job can be delivered from both queues, none is lost or put in twice, wherever a batch stops; the next run
// continues with the jobs already taken out. The brands may be on different servers of a Cluster, so each step is one script
// on one of them. A job that a worker holds stays where it is.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { referenceDigest } from '../../callback/identity.ts';
import { indexKeys, bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import { pairs } from '../../redis/pairs.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { digestOfJob, toBrand } from '../../callback/job.ts';
import { parseData } from '../callbacks/read-callbacks.ts';
import { defineScript } from '../../redis/script.ts';

export interface MoveEnds {
  readonly redis: RedisConnection;
  readonly from: BrandQueue;
  readonly to: BrandQueue;
  /** Called before anything is removed: throws unless REDIS_WAIT_REPLICAS have what was written. */
  readonly confirm: () => Promise<void>;
}

export interface MoveJobsDependencies extends MoveEnds {
  /** RETAIN_COMPLETED and the like: how long a merchant's reference can be looked up. */
  readonly merchantTtlMs: number;
  /** Hands a job to intake whose identity is already claimed; resolves once it is stored, whatever its outcome. */
  readonly handIn: (entry: { brand: string; nonce: string; data: string }) => Promise<void>;
}

/** Bodies are copied as well, up to BODY_LIMIT each; Redis serves nobody else meanwhile. */
const batchMax = 50;

const readScript = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const text = z.string();
const rowSchema = z.tuple([text, text, text, z.array(text), z.array(text), z.int(), text, text, z.number()]);
const rowsSchema = z.array(rowSchema);
type Row = z.infer<typeof rowSchema>;
const outcomesSchema = z.array(z.enum(['put', 'already', 'claimed']));

const takeJobs = defineScript({ lua: readScript('./take-jobs.lua'), keyCount: 10, reply: z.unknown() });
const readJobs = defineScript({ lua: readScript('./read-moving.lua'), keyCount: 4, reply: rowsSchema });
const putJobs = defineScript({ lua: readScript('./put-jobs.lua'), keyCount: 15, reply: outcomesSchema });
const dropMoved = defineScript({ lua: readScript('./drop-moved.lua'), keyCount: 4, reply: z.unknown() });

/** Moves one batch; returns the number of jobs, 0 at the end. */
export async function moveJobs(dependencies: MoveJobsDependencies): Promise<number> {
  const { redis, from } = dependencies;
  const places = bullKeys(from, 'wait', 'paused', 'active', 'delayed', 'prioritized', 'failed', 'completed');
  const keys = [...places, keysOf.moving(from), `${from.base}:stalled`, keysOf.held(from)];
  let rows = await readMoving(dependencies);
  if (rows.length === 0) {
    await takeJobs(redis, keys, [from.base, batchMax]);
    rows = await readMoving(dependencies);
  }
  if (rows.length > 0) await moveRows(dependencies, rows);
  return rows.length;
}

async function readMoving({ redis, from }: MoveEnds): Promise<Row[]> {
  return readJobs(redis, [keysOf.moving(from), ...indexKeys(from)], [from.base, batchMax]);
}

async function moveRows(dependencies: MoveJobsDependencies, rows: readonly Row[]): Promise<void> {
  const { redis, from, to, confirm, handIn } = dependencies;
  const outcomes = await putRows(dependencies, rows);
  for (const [at, [jobId, , , fields]] of rows.entries()) {
    if (outcomes[at] !== 'claimed') continue;
    const nonce = jobId.slice(digestOfJob(jobId).length);
    await handIn({ brand: to.brand, nonce, data: toBrand(valueOf(fields, 'data'), to.brand) });
  }
  await confirm();
  const ids = rows.map(([jobId]) => jobId);
  await dropMoved(redis, [keysOf.moving(from), ...indexKeys(from)], [from.base, ...ids]);
  await redis.srem(keysOf.taken(to, from.brand), ...ids);
}

function putRows({ redis, from, to, merchantTtlMs }: MoveJobsDependencies, rows: readonly Row[]) {
  const bull = ['wait', 'delayed', 'prioritized', 'failed', 'completed', 'meta', 'active', 'events', 'marker', 'id'];
  const keys = [...bullKeys(to, ...bull), ...indexKeys(to), keysOf.taken(to, from.brand), keysOf.held(to)];
  const args = rows.flatMap((row) => {
    const [jobId, place, score, fields, lines, part, receivedAt, claim, claimTtlMs] = row;
    const renamed = fields.map((value, at) =>
      fields[at - 1] === 'data' && at % 2 === 1 ? renameJob(value, to) : value,
    );
    const reference = parseData(valueOf(fields, 'data'))?.merchantReference ?? null;
    const merchantDigest = reference === null ? '' : referenceDigest(to.brand, 'merchant', reference);
    const fixed = [jobId, place, score, part, receivedAt, claim, claimTtlMs, merchantDigest];
    return [...fixed, renamed.length, ...renamed, lines.length, ...lines];
  });
  return putJobs(redis, keys, [to.base, Date.now(), merchantTtlMs, ...args]);
}

/** Its webhook-id remains that of the old name. */
export function renameJob(data: string, to: BrandQueue): string {
  return toBrand(data, to.brand, 'kept');
}

function valueOf(fields: readonly string[], name: string): string {
  return new Map(pairs(fields)).get(name) ?? '';
}
