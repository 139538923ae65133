// Which brands a Redis holds anything of: one small hash that every start writes, so that a brand that left the
// configuration is noticed without reading through all keys.
//
// Installations of earlier versions have no such hash: `default` is always looked at, and where there is no hash the keys
// are read through for a bounded time. Fails as Redis does (throws).
import { defaultBrand } from '../../config/brand-values.ts';
import { readLineage } from '../../redis/brand-lineage.ts';
import { brandQueue, keysOf, indexParts, type BrandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import { fingerprintsOf, type Keys } from './brand-serving.ts';
import { scanKeys } from './scan-keys.ts';
import type { RedisConnection } from '../../redis/connections.ts';

/** What Redis holds of a brand. */
export interface Holdings {
  /** Waiting, being delivered or to be tried again. */
  readonly undelivered: number;
  readonly failed: number;
  readonly delivered: number;
  readonly quarantined: number;
  /** Transactions that are to be looked up. */
  readonly expected: number;
  /** Whether callbacks may be remembered whose jobs are gone: a sweep would deliver those again under another brand. */
  readonly remembers: boolean;
}

const retired = 'retired';
/** A field beside the brands (no brand can have this name): a start has looked for all of them. */
const complete = '*';

export const registryKey = (naming: QueueNaming) => `${brandQueue(defaultBrand, naming).base}/brands`;

/**
 * Notes that the brands are served, with the fingerprints of their keys. A retired one that is configured again is retired
 * no more.
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

/** Notes a brand of which nothing else is known, unless it is noted already. */
export async function noteBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hsetnx(registryKey(naming), brand, new Date().toISOString());
}

/** From now on the registry alone tells which brands there are. */
export async function completeRegistry(redis: RedisConnection, naming: QueueNaming): Promise<void> {
  await noteBrand(redis, naming, complete);
}

export async function forgetBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hdel(registryKey(naming), brand);
}

/** From now on no start minds that nobody serves it. */
export async function retireBrand(redis: RedisConnection, naming: QueueNaming, brand: string): Promise<void> {
  await redis.hset(registryKey(naming), brand, retired);
}

/**
 * Brands that may have something here and were not retired, each with the fingerprints of its last known keys. With
 * `onlyNoted` the keys are never read through.
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

/** By the key that every queue has. */
async function scanForBrands(redis: RedisConnection, naming: QueueNaming): Promise<string[]> {
  // Names and prefixes are made of characters that stand for themselves in a pattern.
  const { base } = brandQueue('*', naming);
  const escaped = base.replaceAll(/[{}.]/g, String.raw`\$&`);
  const pattern = new RegExp(`^${escaped.replaceAll('*', '([a-z0-9-]{1,32})')}:meta$`);
  const keys = await scanKeys(redis, `${base}:meta`);
  return keys.flatMap((key) => pattern.exec(key)?.[1] ?? []);
}

export async function readHoldings(redis: RedisConnection, queue: BrandQueue, rememberedMs: number) {
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
  // Whatever ends leaves an event, whose id is its time; what it claims is forgotten DEDUP_TTL later. Once a brand
  // was moved away its events tell nothing: an idle worker of an old process leaves some, too.
  const lastAtMs = Number(lastEvent?.[0].split('-')[0] ?? 0);
  const holdings: Holdings = {
    undelivered: sum(undelivered),
    failed,
    delivered,
    quarantined,
    expected,
    remembers: sum(callbackIndex) > 0 || (!lineage.isComplete && lastAtMs > Date.now() - rememberedMs),
  };
  return holdings;
}

export function isNothing({ undelivered, failed, delivered, quarantined, expected, remembers }: Holdings): boolean {
  return undelivered + failed + delivered + quarantined + expected === 0 && !remembers;
}

/** `3 undelivered, 40 delivered` */
export function describeHoldings(holdings: Holdings): string {
  const { undelivered, failed, delivered, quarantined, expected } = holdings;
  const counts = Object.entries({ undelivered, failed, delivered, 'in quarantine': quarantined, expected });
  const told = counts.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return told.length > 0 ? told.join(', ') : 'only what is remembered of them';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
