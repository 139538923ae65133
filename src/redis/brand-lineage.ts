// Who a brand was and where one went. `brand move FROM TO` writes it; whoever looks for a callback by its reference reads it.
//
// A callback's digests, job id and webhook-id are made of its brand's name. They stay as they are when another name takes
// the callback over, so that name must look under the former ones as well. accept.lua compares the lineage with what its
// caller knows, in the same step as the claim: no process can go on with an old one.
import * as z from 'zod';
import { brandQueue, keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

const lineageSchema = z.object({
  /** Names whose callbacks this brand took over, the latest first. */
  formerly: z.array(z.string()).default([]),
  /** The name that took this brand over; what still comes for this one goes there. */
  movedTo: z.string().optional(),
  /** Of the move that wrote it, so that each one is seen. */
  move: z.string().optional(),
  /** Whether everything is there by now: nothing is remembered under the old name any more. */
  isComplete: z.boolean().default(false),
});

export type Lineage = z.infer<typeof lineageSchema>;

export const noLineage: Lineage = { formerly: [], isComplete: false };

/** Nobody is called again that often; a longer chain is a circle. */
export const hopsMax = 8;

export function parseLineage(text: string | null | undefined): Lineage {
  if (text === null || text === undefined || text === '') return noLineage;
  return lineageSchema.parse(JSON.parse(text));
}

export async function readLineage(redis: RedisConnection, queue: BrandQueue): Promise<Lineage> {
  return parseLineage(await redis.get(keysOf.lineage(queue)));
}

/** Every name under which callbacks of the brand may be known, its own first. */
export function namesOf({ brand }: BrandQueue, { formerly }: Lineage): string[] {
  return [brand, ...formerly.filter((name) => name !== brand)];
}

/** Where what comes for a brand goes now. */
export async function currentQueue(redis: RedisConnection, queue: BrandQueue): Promise<BrandQueue> {
  let current = queue;
  for (let hops = 0; hops < hopsMax; hops += 1) {
    const { movedTo } = await readLineage(redis, current);
    if (movedTo === undefined) return current;
    current = brandQueue(movedTo, queue.naming);
  }
  throw new Error(`${queue.brand} was moved in a circle.`);
}
