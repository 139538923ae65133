// Checks that every brand with data in Redis is configured.
//
// A brand that is not was either forgotten in the configuration (its callbacks would wait unnoticed) or renamed (sweeps would
// deliver up to twice RECONCILE_LOOKBACK again, under new ids). Only the operator knows which.
import { readLineage } from '../../redis/brand-lineage.ts';
import { brandQueue, type QueueNaming } from '../../redis/brand-queue.ts';
import {
  completeRegistry,
  describeHoldings,
  findBrands,
  isNothing,
  noteBrand,
  readHoldings,
  registerBrands,
} from './brand-registry.ts';
import { fingerprintsOf, readServing, type Keys } from './brand-serving.ts';
import type { RedisConnection } from '../../redis/connections.ts';

export interface BrandCheck {
  readonly redis: RedisConnection;
  readonly config: QueueNaming & {
    readonly DEDUP_TTL: number;
    readonly BRANDS_ELSEWHERE: readonly string[];
    readonly brands: ReadonlyMap<string, Keys>;
  };
}

/** One line per brand with a problem, like any other configuration problem. Throws if Redis fails. */
export async function findBrandProblems({ redis, config }: BrandCheck): Promise<string[]> {
  const configured = [...config.brands.keys()];
  const known = new Set([...configured, ...config.BRANDS_ELSEWHERE]);
  const others = [...(await findBrands(redis, config))].filter(([brand]) => !known.has(brand));
  const serving = await readServing(redis, config);
  const problems = [
    ...(await Promise.all(others.map(([brand, fingerprints]) => problemOfUnowned(brand, new Set(fingerprints))))),
    ...(await Promise.all(configured.map((brand) => problemOfMoved(brand)))),
  ];
  return problems.filter((problem) => problem !== undefined);

  async function problemOfUnowned(brand: string, fingerprints: ReadonlySet<string>): Promise<string | undefined> {
    const holdings = await readHoldings(redis, brandQueue(brand, config), config.DEDUP_TTL);
    if (isNothing(holdings)) return undefined;
    const servedWith = serving.get(brand);
    const successors = successorsOf(config.brands, fingerprints.union(servedWith ?? new Set()));
    if (servedWith !== undefined && successors.length === 0) return undefined; // another process is its owner
    return (
      `PAYALO_API_KEYS: Redis holds callbacks of the brand ${brand} (${describeHoldings(holdings)}), which is not ` +
      `configured. ${adviceFor(brand, successors, configured)}; if its merchant left, \`payalo-receiver brand retire ` +
      `${brand}\`; if other processes serve it, name it in BRANDS_ELSEWHERE`
    );
  }

  async function problemOfMoved(brand: string): Promise<string | undefined> {
    const { movedTo } = await readLineage(redis, brandQueue(brand, config));
    if (movedTo === undefined) return undefined;
    return (
      `PAYALO_API_KEYS: the brand ${brand} was moved to ${movedTo}, which now receives everything that arrives for it. Remove it ` +
      `from the configuration, or run \`payalo-receiver brand move ${movedTo} ${brand}\` to move it back, or ` +
      `\`payalo-receiver brand reopen ${brand}\` to use the name for another merchant`
    );
  }
}

/** Registers brands without problems, so that their absence is noticed from now on. */
export async function noteServedBrands({ redis, config }: BrandCheck): Promise<void> {
  for (const brand of (await findBrands(redis, config)).keys()) await noteBrand(redis, config, brand); // including those of other processes
  await registerBrands(redis, config, config.brands);
  await completeRegistry(redis, config);
}

/** The configured brands that have one of its keys. */
function successorsOf(brands: ReadonlyMap<string, Keys>, fingerprints: ReadonlySet<string>): string[] {
  return [...brands]
    .filter(([, keys]) => fingerprintsOf(keys).some((one) => fingerprints.has(one)))
    .map(([name]) => name);
}

function adviceFor(brand: string, successors: readonly string[], configured: readonly string[]): string {
  const [first = '', ...others] = successors.length > 0 ? successors : configured;
  const move = `\`payalo-receiver brand move ${brand} ${first}\``;
  if (successors.length === 1) return `Its key belongs to ${first} now: run ${move}`;
  const which = others.length === 0 ? '' : ` (or ${others.join(', ')} instead: whichever of them took its place)`;
  return `If it has another name now, run ${move}${which}`;
}
