// Sends batches to Redis. If replicas must confirm, each concurrent call has its own connection, because WAIT blocks its
// connection and counts only that connection's writes.
import {
  createAcceptBatch,
  createLook,
  type AcceptItem,
  type AcceptOutcome,
  type AcceptSettings,
} from '../store/accept/accept-batch.ts';
import type { BrandQueue } from '../redis/brand-queue.ts';
import { renewConnection, type RedisConnection } from '../redis/connections.ts';

/** Stores the callbacks of one brand in Redis. */
export interface Store {
  /** Throws if Redis refuses, is late or down; it is then unknown what was stored. */
  batch(items: readonly AcceptItem[]): Promise<{
    readonly outcomes: readonly AcceptOutcome[];
    /** False if fewer replicas than REDIS_WAIT_REPLICAS confirmed in time. */
    readonly confirmed: boolean;
  }>;
  /** Finds out which of the earlier items are missing, and whether the others are confirmed. Throws as `batch`. */
  look(items: readonly AcceptItem[]): Promise<{ readonly gone: readonly AcceptItem[]; readonly confirmed: boolean }>;
  /** Drops the connections and makes new ones. */
  reset(): void;
}

export interface StoreDependencies {
  readonly connections: readonly RedisConnection[];
  readonly queue: BrandQueue;
  /** Throws while nothing may be enqueued. */
  readonly gate?: { check(): void };
  readonly settings: AcceptSettings;
  readonly waitReplicas: number;
  readonly waitTimeoutMs: number;
}

export function createStore(dependencies: StoreDependencies): Store {
  const { connections, queue, gate, settings, waitReplicas, waitTimeoutMs } = dependencies;
  const wait = { replicas: waitReplicas, timeoutMs: waitTimeoutMs };
  const lanes = connections.map((redis) => ({
    redis,
    acceptBatch: createAcceptBatch(redis, queue, settings, wait),
    look: createLook(redis, queue, settings, wait),
  }));
  let next = 0;

  function nextLane() {
    gate?.check();
    const lane = lanes[next % lanes.length];
    next += 1;
    if (lane === undefined) throw new TypeError('A store needs a connection.');
    return lane;
  }

  return {
    batch: async (items) => nextLane().acceptBatch(items),
    look: async (items) => nextLane().look(items),

    reset() {
      for (const { redis } of lanes) renewConnection(redis);
    },
  };
}
