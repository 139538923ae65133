// The queues that tests use: one with keys of its own, and that of a service with the default names.
import { randomUUID } from 'node:crypto';
import { brandQueue, type BrandQueue } from '../../src/redis/brand-queue.ts';

/** Shares no key with any other, so tests can share a Redis. */
export function newQueue(): BrandQueue {
  return brandQueue('default', { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: `{${randomUUID()}}` });
}

/** As a service uses it that sets neither QUEUE_NAME nor QUEUE_PREFIX. */
export function serviceQueue(brand = 'default'): BrandQueue {
  return brandQueue(brand, { QUEUE_NAME: 'payalo-callbacks', QUEUE_PREFIX: '{payalo}' });
}
