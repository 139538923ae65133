// Finds the claims of a gateway reference: the only code that knows that a brand may have had another name when the callback
// came (brand-lineage.ts). One command if it never had.
import { digestOf, referenceDigest, terminalKind, type Identity } from '../../callback/identity.ts';
import { namesOf, parseLineage } from '../../redis/brand-lineage.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import { parseClaim, readClaims, type Claim } from '../accept/claims.ts';
import type { RedisConnection } from '../../redis/connections.ts';

export interface FoundClaim extends Claim {
  /** The brand from which its ids are derived. */
  readonly identityBrand: string;
}

export type Sought = Omit<Identity, 'brand'>;

/** The claim of each identity, under whichever name it came; undefined if there is none. */
export async function findClaims(
  redis: RedisConnection,
  queue: BrandQueue,
  sought: readonly Sought[],
): Promise<(FoundClaim | undefined)[]> {
  return (await findUnderNames(redis, queue, sought)).claims;
}

/** Every claim of a reference: first the success or failure, then at most `othersMax` other statuses. */
export async function findClaimsOf(
  redis: RedisConnection,
  queue: BrandQueue,
  gatewayReference: string,
  othersMax: number,
): Promise<FoundClaim[]> {
  const othersUnder = (name: string) =>
    redis.hgetall(keysOf.otherKinds(queue, referenceDigest(name, 'gateway', gatewayReference)));
  const [{ claims, names }, ofOwn] = await Promise.all([
    findUnderNames(redis, queue, [{ gatewayReference, kind: terminalKind }]),
    othersUnder(queue.brand),
  ]);
  const byName = [ofOwn, ...(await Promise.all(names.slice(1).map(othersUnder)))];
  const statusByDigest = new Map<string, string>();
  for (const [status, digest] of byName.flatMap((kinds) => Object.entries(kinds)))
    if (statusByDigest.size < othersMax) statusByDigest.set(digest, status);
  const others = await readClaims(redis, queue, [...statusByDigest.keys()]);
  return [...claims, ...others.map((claim) => named(claim, claim && brandOfDigest(claim.digest)))].filter(
    (claim) => claim !== undefined,
  );

  /** The brand from whose name the digest was made; the brand's own if only the job itself can tell. */
  function brandOfDigest(digest: string): string {
    const kind = `status:${statusByDigest.get(digest) ?? ''}`;
    return names.find((brand) => digestOf({ brand, gatewayReference, kind }) === digest) ?? queue.brand;
  }
}

async function findUnderNames(redis: RedisConnection, queue: BrandQueue, sought: readonly Sought[]) {
  const digestsUnder = (brand: string) => sought.map((identity) => digestOf({ brand, ...identity }));
  const own = digestsUnder(queue.brand);
  const [lineage, ...texts] = await redis.mget(
    keysOf.lineage(queue),
    ...own.map((digest) => keysOf.claim(queue, digest)),
  );
  const names = namesOf(queue, parseLineage(lineage));
  const claims = own.map((digest, at) => named(parseClaim(digest, texts[at]), queue.brand));
  for (const name of names.slice(1)) {
    const former = await readClaims(redis, queue, digestsUnder(name));
    for (const [at, claim] of former.entries()) claims[at] ??= named(claim, name);
  }
  return { claims, names };
}

function named(claim: Claim | undefined, identityBrand: string | undefined): FoundClaim | undefined {
  return claim === undefined || identityBrand === undefined ? undefined : { ...claim, identityBrand };
}
