// The way of a batch into Redis. Each call that may be on its way at once has a connection of its own where replicas
// must confirm, because WAIT blocks its connection and counts that connection's writes only.
import {
  createAcceptBatch,
  createLook,
  type AcceptItem,
  type AcceptOutcome,
  type AcceptSettings,
} from '../store/accept/accept-batch.ts';
import type { BrandQueue } from '../redis/brand-queue.ts';
import { renewConnection, type RedisConnection } from '../redis/connections.ts';

/** The way into Redis for the callbacks of one brand. */
export interface Store {
  /** Throws where Redis refuses, is late or away: then it is not known what was stored. */
  batch(items: readonly AcceptItem[]): Promise<{
    readonly outcomes: readonly AcceptOutcome[];
    /** False where fewer replicas than REDIS_WAIT_REPLICAS confirmed in time. */
    readonly confirmed: boolean;
  }>;
  /** Which of those that were handed in before are not there, and whether the others are confirmed. Throws as `batch`. */
  look(items: readonly AcceptItem[]): Promise<{ readonly gone: readonly AcceptItem[]; readonly confirmed: boolean }>;
  /** Gives the connections up and makes new ones. */
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
