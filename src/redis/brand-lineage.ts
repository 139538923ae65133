// The former and later names of a brand. `brand move FROM TO` writes them; every lookup by reference reads them.
//
// A callback's digests, job id and webhook-id are derived from its brand's name. They do not change when the callbacks move
// to another name, so that name must also look under the former ones. accept.lua compares the lineage with what its caller
// knows, in the same step as the claim, so no process can continue with a stale one.
import * as z from 'zod';
import { brandQueue, keysOf, type BrandQueue } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

const lineageSchema = z.object({
  /** Former names whose callbacks this brand took over, the latest first. */
  formerly: z.array(z.string()).default([]),
  /** The brand that took this one over; callbacks that still arrive for this one go there. */
  movedTo: z.string().optional(),
  /** The id of the move that wrote it, so that every move is noticed. */
  move: z.string().optional(),
  /** Whether the move is complete: nothing is stored under the old name any more. */
  isComplete: z.boolean().default(false),
});

export type Lineage = z.infer<typeof lineageSchema>;

export const noLineage: Lineage = { formerly: [], isComplete: false };

/** More moves than that are not expected; a longer chain is a cycle. */
export const hopsMax = 8;

export function parseLineage(text: string | null | undefined): Lineage {
  if (text === null || text === undefined || text === '') return noLineage;
  return lineageSchema.parse(JSON.parse(text));
}

export async function readLineage(redis: RedisConnection, queue: BrandQueue): Promise<Lineage> {
  return parseLineage(await redis.get(keysOf.lineage(queue)));
}

/** Every name under which callbacks of the brand may be stored, its own first. */
export function namesOf({ brand }: BrandQueue, { formerly }: Lineage): string[] {
  return [brand, ...formerly.filter((name) => name !== brand)];
}

/** The queue where a brand's callbacks go now. */
export async function currentQueue(redis: RedisConnection, queue: BrandQueue): Promise<BrandQueue> {
  let current = queue;
  for (let hops = 0; hops < hopsMax; hops += 1) {
    const { movedTo } = await readLineage(redis, current);
    if (movedTo === undefined) return current;
    current = brandQueue(movedTo, queue.naming);
  }
  throw new Error(`${queue.brand} was moved in a cycle.`);
}
