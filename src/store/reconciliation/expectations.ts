// Expectations: transactions that the merchant announced. One small sorted-set entry each; only one that the gateway does not
// know, or refuses, costs a hash field in addition. The operator API registers them, reconciliation looks them up.
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';

export interface Expectation {
  readonly gatewayReference: string;
  /** Looked up if the gateway does not know the other reference. Costs a hash field. */
  readonly merchantReference?: string | undefined;
}

/** Registering one again changes nothing. `dueMs`: when it is looked up unless its callback has come. */
export async function registerExpectation(
  redis: RedisConnection,
  queue: BrandQueue,
  { gatewayReference, merchantReference }: Expectation,
  dueMs: number,
): Promise<void> {
  if (merchantReference !== undefined)
    await redis.hset(keysOf.expectedMerchantReferences(queue), gatewayReference, merchantReference);
  await redis.zadd(keysOf.expectations(queue), 'NX', dueMs, gatewayReference);
}

export async function settleExpectations(
  redis: RedisConnection,
  queue: BrandQueue,
  references: readonly string[],
): Promise<void> {
  if (references.length === 0) return;
  await redis.zrem(keysOf.expectations(queue), ...references);
  await redis.hdel(keysOf.unknownExpectations(queue), ...references);
  await redis.hdel(keysOf.expectedMerchantReferences(queue), ...references);
}

/** The longest time that counts between two answers, in case a clock was wrong at one of them. */
const countedMaxMs = 3_600_000;

/** Notes that the gateway does not know the reference, or refuses it; returns for how long, in ms. */
export async function noteUnknownExpectation(
  redis: RedisConnection,
  queue: BrandQueue,
  reference: string,
  nowMs: number,
): Promise<number> {
  const key = keysOf.unknownExpectations(queue);
  const noted = (await redis.hget(key, reference)) ?? String(nowMs);
  const [lastMs = nowMs, beforeMs = 0] = noted.split(',').map(Number);
  const unknownMs = beforeMs + Math.min(Math.max(nowMs - lastMs, 0), countedMaxMs);
  await redis.hset(key, reference, `${nowMs},${unknownMs}`);
  return unknownMs;
}

export function countExpectations(redis: RedisConnection, queue: BrandQueue): Promise<number> {
  return redis.zcard(keysOf.expectations(queue));
}
