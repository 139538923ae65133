// The record of a delivery: a few characters in the claim that say that the merchant has it, and since when. Whatever happens
// to the job afterwards (retention, a dashboard, `queue.obliterate()`), it is not delivered again.
//
// The built-in worker records a delivery within about a second, even if the job was removed meanwhile; until then a lease
// shows that it holds the job. Deliveries by the merchant's own workers are read from BullMQ's events, of which Redis keeps
// about ten thousand: a delivery that left neither a job nor an event is not known.
import * as z from 'zod';
import { readFileSync } from 'node:fs';
import { indexKeys, bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { createRounds } from '../../redis/rounds.ts';
import { defineScript } from '../../redis/script.ts';
import type { Log } from '../../telemetry/log.ts';

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
/** Functions for scripts that check whether a built-in worker holds a job. */
export const leaseLua = read('./lease.lua');
/** Functions for scripts that read or write the record. */
export const deliveryRecordLua = leaseLua + read('./delivery-record.lua');
const record = defineScript({
  lua: deliveryRecordLua + read('./record-deliveries.lua'),
  keyCount: 2,
  reply: z.unknown(),
});
const follow = defineScript({
  lua: deliveryRecordLua + read('./follow-deliveries.lua'),
  keyCount: 11,
  reply: z.number().nullable(),
});

/** As accept.lua and the built-in worker write it. */
export const supersededText = JSON.stringify({ superseded: true });

const reportEveryMs = 1_000;
/** Jobs held for less get no lease, so most deliveries cost none. */
const unleasedMs = 500;
/** By then a built-in worker has reported that it holds a job or delivered one. */
export const recordedWithinMs = 3 * reportEveryMs;
const batchMax = 500;
const eventsPerStep = 1_000;
/** Far more than BullMQ keeps. */
const stepsMax = 100;
const followEveryMs = 2_000;

export interface DeliveryRecordsDeps {
  readonly redis: RedisConnection;
  readonly queue: BrandQueue;
  readonly log: Pick<Log, 'debug'>;
}

/** The reports of one built-in worker about its jobs. */
export function createDeliveryRecords({ redis, queue, log }: DeliveryRecordsDeps) {
  const inHand = new Map<string, number>();
  let leased = new Set<string>();
  /** Job id and time, base 36 ms. */
  let delivered: (readonly [jobId: string, at: string])[] = [];

  async function reportBatch(): Promise<void> {
    const batch = delivered.slice(0, batchMax);
    const held = [...inHand].filter(([, sinceMs]) => performance.now() - sinceMs >= unleasedMs).map(([jobId]) => jobId);
    const released = [...leased].filter((jobId) => !inHand.has(jobId));
    if (batch.length + held.length + released.length === 0) return;
    const fixed = [queue.base, Date.now(), batch.length, released.length];
    await record(
      redis,
      [keysOf.inHand(queue), keysOf.followed(queue)],
      [...fixed, ...batch.flat(), ...released, ...held],
    );
    delivered = delivered.slice(batch.length);
    leased = new Set(held);
  }

  async function reportAll(): Promise<void> {
    do await reportBatch();
    while (delivered.length > 0);
  }

  /** What could not be reported goes into the next report. */
  const rounds = createRounds({
    redis,
    everyMs: reportEveryMs,
    round: reportAll,
    onError: (error) => log.debug({ event: 'delivery.not_recorded', brand: queue.brand, err: error }),
  });

  return {
    take: (jobId: string): void => void inHand.set(jobId, performance.now()),
    release: (jobId: string): void => void inHand.delete(jobId),
    delivered: (jobId: string, atMs: number): void => void delivered.push([jobId, atMs.toString(36)]),

    start: rounds.start,

    async stop(): Promise<void> {
      await rounds.stop();
      await rounds.run();
    },
  };
}

export type DeliveryRecords = ReturnType<typeof createDeliveryRecords>;

export interface FollowOptions {
  /** Reads all events, since the caller is about to report a job as removed. */
  readonly all?: boolean;
  readonly nowMs?: number;
}

/** Records the deliveries of other workers, if there may be any. Rejects if Redis fails. */
export async function followDeliveries(
  redis: RedisConnection,
  queue: BrandQueue,
  { all = false, nowMs = Date.now() }: FollowOptions = {},
): Promise<void> {
  const places = bullKeys(queue, 'events', 'completed', 'failed', 'delayed', 'prioritized', 'wait', 'active');
  const keys = [keysOf.followed(queue), ...places, ...indexKeys(queue)];
  const args = [queue.base, nowMs, all ? '1' : '0', eventsPerStep, supersededText];
  for (let step = 0; step < stepsMax; step += 1) if ((await follow(redis, keys, args)) !== 1) return;
}

export interface DeliveryFollowerDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly log: Pick<Log, 'debug'>;
}

/** Follows the deliveries of all brands while the process runs. */
export function createDeliveryFollower({ redis, queues, log }: DeliveryFollowerDeps) {
  return createRounds({
    redis,
    everyMs: followEveryMs,
    async round() {
      for (const queue of queues.values()) await followDeliveries(redis, queue);
    },
    onError: (error) => log.debug({ event: 'deliveries.not_followed', err: error }),
  });
}
