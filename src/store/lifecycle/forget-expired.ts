// Forgets what is pending or noted about callbacks whose claims have expired: nothing refers to them any longer.
//
// Age alone does not decide. The claim of a callback that still waits for its merchant is kept however old it is, and the gateway
// is still to be asked about it.
import { digestOfJob } from '../../callback/job.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { readClaims } from '../accept/claims.ts';
import { findClaims } from '../callbacks/find-claims.ts';
import { parseUnconfirmed } from '../confirmation/unconfirmed.ts';

const batchMax = 200;

type HasClaim = (members: readonly string[]) => Promise<boolean[]>;

/** Looks at what is older than `upToMs` in the sets of unconfirmed, denied and mismatched callbacks. Rejects if Redis fails. */
export async function forgetExpired(redis: RedisConnection, queue: BrandQueue, upToMs: number): Promise<void> {
  const ofReference: HasClaim = async (members) => {
    const sought = members.map((member) => parseUnconfirmed(member));
    const claims = await findClaims(
      redis,
      queue,
      sought.filter((one) => one !== undefined),
    );
    return sought.map((one) => one !== undefined && claims.shift() !== undefined);
  };
  const ofJob: HasClaim = async (jobIds) =>
    (await readClaims(redis, queue, jobIds.map(digestOfJob))).map((claim) => claim !== undefined);

  await forgetIn(redis, keysOf.unconfirmed(queue), { upToMs, hasClaim: ofReference });
  await forgetIn(redis, keysOf.denied(queue), { upToMs, hasClaim: ofJob });
  await forgetIn(redis, keysOf.mismatched(queue), { upToMs, hasClaim: ofJob });
}

interface Forgetting {
  readonly upToMs: number;
  readonly hasClaim: HasClaim;
}

async function forgetIn(redis: RedisConnection, key: string, { upToMs, hasClaim }: Forgetting): Promise<void> {
  for (let kept = 0; ;) {
    const members = await redis.zrangebyscore(key, '-inf', upToMs, 'LIMIT', kept, batchMax);
    if (members.length === 0) return;
    const isKept = await hasClaim(members);
    const expired = members.filter((_, at) => isKept[at] === false);
    if (expired.length > 0) await redis.zrem(key, ...expired);
    kept += members.length - expired.length;
  }
}
