// Erasure: removes the personal data of one reference from Redis (bodies, the merchant's answers, quarantined bodies). The
// reference, status, times and the claim stay, so accounts still add up and a late duplicate is still recognized. Only
// settled callbacks are erased: a privacy request must not lose an undelivered payment.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { findClaimsOf } from '../callbacks/find-claims.ts';
import { createJobReader, isRemoved, type JobRecord } from '../callbacks/read-callbacks.ts';
import { withoutAnswer } from '../callbacks/job-attempts.ts';
import { retire } from './retire.ts';
import { quarantinedUnder } from './quarantined-under.ts';
import { defineScript } from '../../redis/script.ts';

export type EraseOutcome =
  | { readonly kind: 'erased' }
  /** Waiting, being delivered, or removed and still to be fetched from the gateway; nothing was erased. */
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'not-found' };

const eraseJobs = defineScript({
  lua: readFileSync(new URL('./erase.lua', import.meta.url), 'utf8'),
  keyCount: 5,
  reply: z.enum(['erased', 'in-progress']),
});

/** Throws only if Redis fails. */
export async function erase(
  redis: RedisConnection,
  queue: BrandQueue,
  gatewayReference: string,
): Promise<EraseOutcome> {
  const records = await recordsOf(redis, queue, gatewayReference);
  if (records.some(isRemoved)) return { kind: 'in-progress' };
  const held = records.filter(({ place }) => place === 'held');
  const jobs = records.filter(({ data, place }) => data !== undefined && place !== 'held');
  const conflicts = records.flatMap((record) => [...record.conflicts.values()]);
  const quarantined = new Set([...conflicts, ...(await quarantinedUnder(redis, queue, gatewayReference))]);
  if (records.length === 0 && quarantined.size === 0) return { kind: 'not-found' };
  const keys = [
    `${queue.base}:completed`,
    `${queue.base}:failed`,
    keysOf.quarantine(queue),
    keysOf.quarantineBytes(queue),
    keysOf.unverified(queue),
  ];
  const args = [queue.base, jobs.length, ...jobs.flatMap(argumentsOf), ...quarantined];
  const outcome = await eraseJobs(redis, keys, args);
  // A held job without its body could never be delivered, so it is removed. If the gateway confirms it later, a sweep finds it again.
  if (outcome === 'erased' && held.length > 0)
    await retire(redis, queue, held, {
      place: keysOf.held(queue),
      upToMs: Number.MAX_SAFE_INTEGER,
      stateOf: ({ heldReason }) => (heldReason === 'amount' ? 'held' : 'removed'),
    });
  return { kind: outcome };
}

/** Every job of the reference: of each status, and those that corrections replaced. */
async function recordsOf(redis: RedisConnection, queue: BrandQueue, gatewayReference: string): Promise<JobRecord[]> {
  const readJobs = createJobReader(redis);
  const ids = (await findClaimsOf(redis, queue, gatewayReference, Infinity)).map(({ jobId }) => jobId);
  const records = await readJobs(queue, ids, { withLogs: true });
  const replaced = records.flatMap(({ corrects }) => corrects);
  return [...records, ...(await readJobs(queue, replaced, { withLogs: true }))];
}

function argumentsOf({ jobId, data, returnvalue, logLines }: JobRecord): (string | number)[] {
  const lines = logLines.map(withoutAnswer).filter((line) => line !== '');
  return [jobId, JSON.stringify({ ...data, body: '' }), withoutAnswer(returnvalue), lines.length, ...lines];
}
