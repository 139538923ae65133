// Reads the deployment's id from Redis for the spool's marks, after each reconnect: Redis may have lost its data.
import type { QueueNaming } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { ensureDeploymentId } from '../../redis/deployment-id.ts';
import type { Spool } from './spool.ts';

const retryMs = 5_000;

export function identifySpool(redis: RedisConnection, naming: QueueNaming, spool: Pick<Spool, 'identify'>): void {
  let known: string | undefined;
  let retry: NodeJS.Timeout | undefined;

  async function ask(): Promise<void> {
    clearTimeout(retry);
    const id = await ensureDeploymentId(redis, naming, known);
    if (id === undefined && redis.status === 'ready') retry = setTimeout(() => void ask(), retryMs).unref();
    if (id === undefined || id === known) return;
    known = id;
    await spool.identify(id);
  }

  redis.on('ready', () => void ask());
  if (redis.status === 'ready') void ask();
}
