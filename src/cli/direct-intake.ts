// Intake for commands: directly into Redis. It has no spool, since a command can simply be run again, and the service's spool
// belongs to the service.
import { createIntake } from '../intake/intake.ts';
import { createStore } from '../intake/redis-store.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import type { Session } from './session.ts';

const budgetMs = 10_000;

/** Everything needed to work with the gateway's records. */
export async function directIntake(session: Pick<Session, 'config' | 'log' | 'redis'>) {
  const { config, log } = session;
  const redis = await session.redis();
  const intake = createIntake({
    storeFor: (brand) =>
      createStore({
        connections: [redis],
        queue: brandQueue(brand, config),
        settings: config,
        waitReplicas: config.REDIS_WAIT_REPLICAS,
        waitTimeoutMs: budgetMs / 2,
      }),
    spool: {
      append: async () => ({ kind: 'failed', code: 'NO_SPOOL' }),
      canStore: () => false,
      stats: () => ({ entries: 0, bytes: 0, bytesMax: 0 }),
    },
    settings: { budgetMs, spoolBytesMax: 0 },
    log,
  });
  return { config, log, redis, intake };
}
