// A move of one brand to another, with what every test of moves has in common.
import type { Redis } from 'ioredis';
import type { BrandQueue } from '../../src/redis/brand-queue.ts';
import type { MoveDependencies } from '../../src/store/brands/brand-move.ts';

const dayMs = 86_400_000;

/** Waits for no replica and no process, and expects that no callback is claimed under both names. */
export function moveOf(redis: Redis, from: BrandQueue, to: BrandQueue): MoveDependencies {
  return {
    redis,
    from,
    to,
    confirm: async () => undefined,
    handIn: async () => {
      throw new Error('nothing is claimed twice here');
    },
    merchantTtlMs: dayMs,
    lineageTtlMs: dayMs,
    claimTtlMs: dayMs,
    patienceMs: 0,
    onProgress: () => undefined,
  };
}
