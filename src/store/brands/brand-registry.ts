// Which brands have data in a Redis: one small hash that every start writes, so that a brand that left the configuration is
// noticed without scanning all keys.
//
// Installations of earlier versions have no such hash: `default` is always checked, and without the hash the keys are
// scanned for a bounded time. Throws if Redis fails.
import { defaultBrand } from '../../config/brand-values.ts';
import { readLineage } from '../../redis/brand-lineage.ts';
import { brandQueue, keysOf, indexParts, type BrandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import { fingerprintsOf, type Keys } from './brand-serving.ts';
import { scanKeys } from './scan-keys.ts';
import type { RedisConnection } from '../../redis/connections.ts';

/** What Redis holds of a brand. */
export interface Holdings {
  /** Waiting, being delivered or waiting for a retry. */
  readonly undelivered: number;
  readonly failed: number;
  readonly delivered: number;
  readonly quarantined: number;
  /** Transactions to look up. */
  readonly expected: number;
  /** Whether claims may exist whose jobs are gone: a sweep would deliver those again under another brand. */
  readonly mayHaveClaims: boolean;
}

const retired = 'retired';
/** A field that no brand can be named like: a start has scanned for all brands. */
const complete = '*';

export const registryKey = (naming: QueueNaming) => `${brandQueue(defaultBrand, naming).base}/brands`;

/**
 * Registers the served brands with the fingerprints of their keys. A retired brand that is configured again is no longer
 * retired.
 */
export async function registerBrands(
  redis: RedisConnection,
  naming: QueueNaming,
  brands: ReadonlyMap<string, Keys>,
): Promise<void> {
  const now = new Date().toISOString();
  const notes = [...brands].flatMap(([brand, keys]) => [brand, `${now} ${fingerprintsOf(keys).join(',')}`]);
  if (notes.length > 0) await redis.hset(registryKey(naming), ...notes);
}

/** Registers a brand of which nothing else is known, unless it is registered already. */
export async function noteBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hsetnx(registryKey(naming), brand, new Date().toISOString());
}

/** From now on the registry is known to be complete. */
export async function completeRegistry(redis: RedisConnection, naming: QueueNaming): Promise<void> {
  await noteBrand(redis, naming, complete);
}

export async function forgetBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hdel(registryKey(naming), brand);
}

/** From now on starts ignore that nobody serves it. */
export async function retireBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hset(registryKey(naming), brand, retired);
}

/**
 * Brands that may have data here and were not retired, each with the fingerprints of its last known keys. With `onlyNoted`
 * the keys are never scanned.
 */
export async function findBrands(
  redis: RedisConnection,
  naming: QueueNaming,
  { onlyNoted = false }: { onlyNoted?: boolean } = {},
): Promise<Map<string, string[]>> {
  const noted = await redis.hgetall(registryKey(naming));
  const { [complete]: isComplete, ...known } = noted;
  const found = isComplete === undefined && !onlyNoted ? await scanForBrands(redis, naming) : [];
  const brands = [...new Set([defaultBrand, ...Object.keys(known), ...found])].toSorted();
  const kept = brands.filter((brand) => known[brand] !== retired);
  return new Map(kept.map((brand) => [brand, (known[brand]?.split(' ')[1] ?? '').split(',')]));
}

/** Finds them by the meta key that every queue has. */
async function scanForBrands(redis: RedisConnection, naming: QueueNaming): Promise<string[]> {
  // Names and prefixes contain no pattern characters.
  const { base } = brandQueue('*', naming);
  const escaped = base.replaceAll(/[{}.]/g, String.raw`\$&`);
  const pattern = new RegExp(`^${escaped.replaceAll('*', '([a-z0-9-]{1,32})')}:meta$`);
  const keys = await scanKeys(redis, `${base}:meta`);
  return keys.flatMap((key) => pattern.exec(key)?.[1] ?? []);
}

export async function readHoldings(redis: RedisConnection, queue: BrandQueue, claimTtlMs: number) {
  const { base } = queue;
  const lists = ['wait', 'paused', 'active'].map((list) => redis.llen(`${base}:${list}`));
  const sets = ['delayed', 'prioritized'].map((set) => redis.zcard(`${base}:${set}`));
  const [undelivered, failed, delivered, quarantined, expected, callbackIndex, [lastEvent], lineage] =
    await Promise.all([
      Promise.all([...lists, ...sets, redis.hlen(keysOf.moving(queue)), redis.zcard(keysOf.held(queue))]),
      redis.zcard(`${base}:failed`),
      redis.zcard(`${base}:completed`),
      redis.zcard(keysOf.quarantine(queue)),
      redis.zcard(keysOf.expectations(queue)),
      Promise.all(indexParts.map((part) => redis.zcard(keysOf.index(queue, part)))),
      redis.xrevrange(`${base}:events`, '+', '-', 'COUNT', 1),
      readLineage(redis, queue),
    ]);
  // Every ended job leaves an event whose id is its time, and its claim expires DEDUP_TTL later. After a move the events prove
  // nothing: an idle worker of an old process leaves some, too.
  const lastAtMs = Number(lastEvent?.[0].split('-')[0] ?? 0);
  const holdings: Holdings = {
    undelivered: sum(undelivered),
    failed,
    delivered,
    quarantined,
    expected,
    mayHaveClaims: sum(callbackIndex) > 0 || (!lineage.isComplete && lastAtMs > Date.now() - claimTtlMs),
  };
  return holdings;
}

export function isNothing({ undelivered, failed, delivered, quarantined, expected, mayHaveClaims }: Holdings): boolean {
  return undelivered + failed + delivered + quarantined + expected === 0 && !mayHaveClaims;
}

/** `3 undelivered, 40 delivered` */
export function describeHoldings(holdings: Holdings): string {
  const { undelivered, failed, delivered, quarantined, expected } = holdings;
  const counts = Object.entries({ undelivered, failed, delivered, 'in quarantine': quarantined, expected });
  const parts = counts.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return parts.length > 0 ? parts.join(', ') : 'only claims of delivered callbacks';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
