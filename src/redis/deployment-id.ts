// The id of a deployment. It is stored in Redis beside the queue of the brand `default`, so it moves with the data when
// Redis moves to another address.
import { randomUUID } from 'node:crypto';
import { defaultBrand } from '../config/brand-values.ts';
import { brandQueue, type QueueNaming } from './brand-queue.ts';
import type { RedisConnection } from './connections.ts';

/** Reads it; undefined if there is none or Redis does not answer. */
export async function readDeploymentId(redis: RedisConnection, naming: QueueNaming): Promise<string | undefined> {
  const id = await redis.get(deploymentKey(naming)).catch(() => null);
  return id !== null && /^[\w-]{8,64}$/.test(id) ? id : undefined;
}

/** Reads it, or writes one if Redis has none: the known id if Redis was emptied. */
export async function ensureDeploymentId(
  redis: RedisConnection,
  naming: QueueNaming,
  known: string | undefined,
): Promise<string | undefined> {
  const id = await readDeploymentId(redis, naming);
  if (id !== undefined) return id;
  await redis.set(deploymentKey(naming), known ?? randomUUID(), 'NX').catch(() => null);
  return readDeploymentId(redis, naming);
}

function deploymentKey(naming: QueueNaming): string {
  return `${brandQueue(defaultBrand, naming).base}/deployment`;
}
