// The traces of a lost callback in Redis: the starting point when a cut has broken a promise.
import type { Redis } from 'ioredis';
import { digestOf, terminalKind } from '../../../src/callback/identity.ts';
import { keysOf } from '../../../src/redis/brand-queue.ts';
import { serviceQueue } from '../../support/queues.ts';

/** Its claim, and each job under its identity with the lists that contain it. */
export async function trailOf(redis: Redis, gatewayReference: string): Promise<string> {
  const queue = serviceQueue();
  const digest = digestOf({ brand: 'default', gatewayReference, kind: terminalKind });
  const claim = await redis.get(keysOf.claim(queue, digest));
  const jobs = await redis.keys(`${keysOf.job(queue, digest)}*`);
  const lines = await Promise.all(
    jobs.map(async (key) => {
      const id = key.slice(keysOf.job(queue, '').length);
      const fields = await redis.hgetall(key);
      return `  job ${id} in ${(await placesOf(redis, queue.base, id)).join(', ') || 'no place'}: ${JSON.stringify(fields)}`;
    }),
  );
  return [`${gatewayReference}: claim ${JSON.stringify(claim)}`, ...lines].join('\n');
}

async function placesOf(redis: Redis, base: string, id: string): Promise<string[]> {
  const found: string[] = [];
  for (const list of ['wait', 'active', 'paused'])
    if ((await redis.lpos(`${base}:${list}`, id)) !== null) found.push(list);
  for (const set of ['delayed', 'completed', 'failed'])
    if ((await redis.zscore(`${base}:${set}`, id)) !== null) found.push(set);
  return found;
}
