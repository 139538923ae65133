// The way of a batch into Redis. Each call that may be on its way at once has a connection of its own where replicas
// must confirm, because WAIT blocks its connection and counts that connection's writes only.
import { createAcceptBatch, createLook, type AcceptTimes } from '../queue/accept-batch.ts';
import type { BrandQueue } from '../queue/brand-queue.ts';
import { renewConnection, type RedisConnection } from '../queue/connections.ts';
import type { Store } from './intake.ts';

export interface StoreDependencies {
  readonly connections: readonly RedisConnection[];
  readonly queue: BrandQueue;
  /** Throws while nothing may be enqueued. */
  readonly gate?: { check(): void };
  readonly times: AcceptTimes;
  readonly waitReplicas: number;
  readonly waitTimeoutMs: number;
}

export function createStore(dependencies: StoreDependencies): Store {
  const { connections, queue, gate, times, waitReplicas, waitTimeoutMs } = dependencies;
  const wait = { replicas: waitReplicas, timeoutMs: waitTimeoutMs };
  const lanes = connections.map((redis) => ({
    redis,
    acceptBatch: createAcceptBatch(redis, queue, times, wait),
    look: createLook(redis, queue, times, wait),
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
