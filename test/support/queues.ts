// The queues that tests use: one with unique keys, and the queue of a service with the default names.
import { randomUUID } from 'node:crypto';
import { brandQueue, type BrandQueue } from '../../src/redis/brand-queue.ts';

/** Shares no key with any other queue, so tests can share a Redis. */
export function newQueue(): BrandQueue {
  return brandQueue('default', { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: `{${randomUUID()}}` });
}

/** The queue of a service that sets neither QUEUE_NAME nor QUEUE_PREFIX. */
export function serviceQueue(brand = 'default'): BrandQueue {
  return brandQueue(brand, { QUEUE_NAME: 'payalo-callbacks', QUEUE_PREFIX: '{payalo}' });
}
