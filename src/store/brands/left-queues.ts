// Finds queues under another QUEUE_PREFIX or QUEUE_NAME with undelivered callbacks of a merchant whose key is configured here
// and that no process serves: most likely the setting was changed, and these callbacks would wait for ever.
//
// Costs a bounded scan of Redis's keys. Throws if Redis fails.
import { brandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { findBrands, readHoldings, registryKey } from './brand-registry.ts';
import { fingerprintsOf, readServing, type Keys } from './brand-serving.ts';
import { scanKeys } from './scan-keys.ts';

export interface LeftQueue {
  readonly naming: QueueNaming;
  readonly brand: string;
  readonly undelivered: number;
}

export interface LeftQueuesOptions {
  readonly redis: RedisConnection;
  readonly config: QueueNaming & { readonly DEDUP_TTL: number; readonly brands: ReadonlyMap<string, Keys> };
}

export async function findLeftQueues({ redis, config }: LeftQueuesOptions): Promise<LeftQueue[]> {
  const own = new Set([...config.brands.values()].flatMap(fingerprintsOf));
  const left: LeftQueue[] = [];
  for (const key of await scanKeys(redis, registryKey({ QUEUE_PREFIX: '*', QUEUE_NAME: '*' }))) {
    const naming = namingOf(key);
    if (naming === undefined || key === registryKey(config)) continue;
    const serving = await readServing(redis, naming);
    for (const [brand, fingerprints] of await findBrands(redis, naming, { onlyNoted: true })) {
      if (serving.has(brand) || !fingerprints.some((one) => own.has(one))) continue;
      const { undelivered } = await readHoldings(redis, brandQueue(brand, naming), config.DEDUP_TTL);
      if (undelivered > 0) left.push({ naming, brand, undelivered });
    }
  }
  return left;
}

function namingOf(key: string): QueueNaming | undefined {
  const [, QUEUE_PREFIX, QUEUE_NAME] = /^(.+):([^:/]+)\/brands$/.exec(key) ?? [];
  if (QUEUE_PREFIX === undefined || QUEUE_NAME === undefined) return undefined;
  const naming = { QUEUE_PREFIX, QUEUE_NAME };
  return registryKey(naming) === key ? naming : undefined;
}
