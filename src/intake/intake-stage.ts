// Builds intake with its spool, quarantine and drain for one process.
import { isMismatch } from '../callback/amount-check.ts';
import type { Config } from '../config/config.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { BrandGate } from '../store/brands/brand-gate.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createDrain } from './drain.ts';
import { createIntake } from './intake.ts';
import { createQuarantine } from './quarantine/quarantine.ts';
import { createStore } from './redis-store.ts';
import { identifySpool } from './spool/identify-spool.ts';
import { ownerOf } from './spool/spool-owner.ts';
import { createSpool } from './spool/spool.ts';

export interface IntakeStageDependencies {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly gate: BrandGate;
  /** For calls that must not wait behind callbacks. */
  readonly redis: RedisConnection;
  readonly connect: (name: string, commandTimeoutMs?: number) => RedisConnection;
}

export function createIntakeStage({ config, log, metrics, gate, redis, connect }: IntakeStageDependencies) {
  const spool = createSpool({
    dir: config.SPOOL_DIR,
    owner: ownerOf(config.redis, config),
    maxBytes: config.SPOOL_MAX_BYTES,
    quarantineMaxBytes: config.QUARANTINE_MAX_BYTES,
    quarantineRetainMs: config.QUARANTINE_RETAIN,
    log,
    metrics,
  });
  const connections = config.REDIS_WAIT_REPLICAS > 0 ? [connect('intake-1'), connect('intake-2')] : [connect('intake')];
  const storeFor = (brand: string) =>
    createStore({
      connections,
      queue: brandQueue(brand, config),
      gate: gate.forBrand(brand),
      settings: { ...config, onMismatchHeld: (kind) => isMismatch(kind) && metrics.amountMismatches.inc({ kind }) },
      waitReplicas: config.REDIS_WAIT_REPLICAS,
      waitTimeoutMs: Math.ceil(config.ACK_BUDGET / 2),
    });
  const settings = { budgetMs: config.ACK_BUDGET, spoolBytesMax: config.SPOOL_MAX_BYTES };
  const intake = createIntake({ storeFor, spool, settings, log });
  const quarantine = createQuarantine({
    redis: connect('quarantine', config.ACK_BUDGET / 2),
    brands: config.brands.keys(),
    config,
    spool,
    accept: (item) => intake.accept(item),
    log,
  });
  const drain = createDrain({
    spool,
    submit: (entries) => intake.resubmit(entries),
    confirm: (entries) => intake.confirm(entries),
    submitQuarantine: (entries) => quarantine.submit(entries),
    setAside: (entry, reason) => quarantine.setAside(entry, reason),
    taken: (brand) => intake.taken(brand),
    log,
  });

  return {
    intake,
    quarantine,
    spool,
    drain,
    connections,
    /** Whether a callback could be stored durably now. */
    canStore: () => spool.canStore() || (intake.isRedisUp() && connections.every(({ status }) => status === 'ready')),

    async start(): Promise<void> {
      for (const connection of connections) connection.on('ready', () => drain.wake());
      void gate.whenOpen.then(() => drain.wake());
      identifySpool(redis, config, spool);
      await spool.ready();
      drain.start();
      quarantine.start();
    },
  };
}
