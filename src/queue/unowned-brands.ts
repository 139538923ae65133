// Whether every brand that Redis holds anything of is configured.
//
// A brand that is not is either forgotten in the configuration (its callbacks would wait in silence) or has another name
// now (sweeps would deliver up to twice RECONCILE_LOOKBACK again, under new ids). Only the operator knows which.
import { readLineage } from './brand-lineage.ts';
import { brandQueue, type QueueNaming } from './brand-queue.ts';
import {
  completeRegistry,
  describeHoldings,
  findBrands,
  isNothing,
  readHoldings,
  registerBrands,
} from './brand-registry.ts';
import type { RedisConnection } from './connections.ts';

export interface BrandCheck {
  readonly redis: RedisConnection;
  readonly config: QueueNaming & {
    readonly DEDUP_TTL: number;
    readonly BRANDS_ELSEWHERE: readonly string[];
    readonly brands: ReadonlyMap<string, unknown>;
  };
}

/** One line for each brand that is not in order, as for any other problem of the configuration. Throws as Redis does. */
export async function findBrandProblems({ redis, config }: BrandCheck): Promise<string[]> {
  const configured = [...config.brands.keys()];
  const known = new Set([...configured, ...config.BRANDS_ELSEWHERE]);
  const others = (await findBrands(redis, config)).filter((brand) => !known.has(brand));
  const problems = [
    ...(await Promise.all(others.map((brand) => problemOfUnowned(brand)))),
    ...(await Promise.all(configured.map((brand) => problemOfMoved(brand)))),
  ];
  return problems.filter((problem) => problem !== undefined);

  async function problemOfUnowned(brand: string): Promise<string | undefined> {
    const holdings = await readHoldings(redis, brandQueue(brand, config), config.DEDUP_TTL);
    if (isNothing(holdings)) return undefined;
    return (
      `PAYALO_API_KEYS: Redis holds callbacks of the brand ${brand} (${describeHoldings(holdings)}), which is not ` +
      `configured. If it has another name now, run \`payalo-receiver brand move ${brand} ${configured[0] ?? ''}\`` +
      `${whichOne(configured)}; if its merchant left, \`payalo-receiver brand retire ${brand}\`; if other processes ` +
      'serve it, name it in BRANDS_ELSEWHERE'
    );
  }

  async function problemOfMoved(brand: string): Promise<string | undefined> {
    const { movedTo } = await readLineage(redis, brandQueue(brand, config));
    if (movedTo === undefined) return undefined;
    return (
      `PAYALO_API_KEYS: the brand ${brand} was moved to ${movedTo}, where everything that comes for it goes. Take it out ` +
      `of the configuration, or run \`payalo-receiver brand move ${movedTo} ${brand}\` to move it back, or ` +
      `\`payalo-receiver brand reopen ${brand}\` to use the name for another merchant`
    );
  }
}

/** Of brands that were found in order: from now on their absence is noticed. */
export async function noteServedBrands({ redis, config }: BrandCheck): Promise<void> {
  const found = await findBrands(redis, config); // those of other processes, too
  await registerBrands(redis, config, [...new Set([...config.brands.keys(), ...found])]);
  await completeRegistry(redis, config);
}

function whichOne(configured: readonly string[]): string {
  const [, ...others] = configured;
  return others.length === 0 ? '' : ` (or ${others.join(', ')} instead: whichever of them took its place)`;
}
