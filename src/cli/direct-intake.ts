// Intake for commands: straight into Redis. There is no spool behind it, since a command can simply be run
// again, and the service's spool belongs to the service.
import { createIntake } from '../intake/intake.ts';
import { createStore } from '../intake/redis-store.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../telemetry/log.ts';

const budgetMs = 10_000;

export function createDirectIntake(config: Config, redis: RedisConnection, log: Log) {
  return createIntake({
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
}
