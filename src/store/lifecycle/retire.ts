// Removes jobs for good, and notes in their claims how they ended. See retire.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { referenceDigest } from '../../callback/identity.ts';
import { indexKeys, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { deliveredAtMs, type CallbackState } from '../callbacks/callback-view.ts';
import type { JobRecord } from '../callbacks/read-callbacks.ts';

const retireJobs = defineScript({
  lua: readFileSync(new URL('./retire.lua', import.meta.url), 'utf8'),
  keyCount: 4,
  reply: z.number(),
});

export interface Retiring {
  /** The key of the place they are in. */
  readonly place: string;
  readonly upToMs: number;
  readonly stateOf: (record: JobRecord) => CallbackState;
}

/** Returns how many were removed: those that left the place meanwhile, or came there later than `upToMs`, stay. */
export function retire(
  redis: RedisConnection,
  queue: BrandQueue,
  records: readonly JobRecord[],
  { place, upToMs, stateOf }: Retiring,
): Promise<number> {
  const args = records.flatMap((record) => [
    record.jobId,
    merchantDigest(record),
    stateOf(record),
    deliveredAtMs(record)?.toString(36) ?? '',
  ]);
  return retireJobs(redis, [place, ...indexKeys(queue)], [queue.base, upToMs, ...args]);
}

function merchantDigest({ brand, data }: JobRecord): string {
  const reference = data?.merchantReference;
  return reference === null || reference === undefined ? '' : referenceDigest(brand, 'merchant', reference);
}
