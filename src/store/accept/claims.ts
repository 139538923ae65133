// The claim: the memory of one identity, a short text under a key of ours, so that BullMQ's remove, clean, drain and
// retention cannot touch it. `accept.lua` writes it; delivery-records.ts appends that it was delivered, and retention how
// it had ended.
//
// Text: `nonce,sequence,duplicates,receivedAt,status,amount[,state,deliveredAt]`, times in base 36 ms. It is this short
// because a remembered reference costs its length for all of DEDUP_TTL.
import { createHash } from 'node:crypto';
import type { Amount } from '../../callback/decimal.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { jobIdOf, type Replaced } from '../../callback/job.ts';

export interface Claim {
  readonly digest: string;
  readonly nonce: string;
  /** Of the callback or correction that stands now. */
  readonly jobId: string;
  readonly sequence: number;
  readonly duplicates: number;
  readonly receivedAtMs: number;
  /** As `claimStatus` wrote it. */
  readonly status: string;
  /** As `claimAmount` wrote it; '' where the callback named no final amount. */
  readonly amount: string;
  /** On record: `delivered` as soon as it was, or how the job had ended when retention removed it; and when. */
  readonly state?: string;
  readonly deliveredAtMs?: number;
}

/** The claims under these digests, in one pipelined read; undefined if there is none. */
export async function readClaims(
  redis: RedisConnection,
  queue: BrandQueue,
  digests: readonly string[],
): Promise<(Claim | undefined)[]> {
  if (digests.length === 0) return [];
  const texts = await redis.mget(digests.map((digest) => keysOf.claim(queue, digest)));
  return digests.map((digest, index) => {
    const text = texts[index];
    return text === null || text === undefined ? undefined : parseClaim(digest, text);
  });
}

/** Undefined for what accept.lua could not read either. */
export function parseClaim(digest: string, text: string): Claim | undefined {
  if (!/^[^,]*,\d+,\d+,/.test(text)) return undefined;
  const [nonce, sequence, duplicates, receivedAt, status, amount, state, deliveredAt] = text.split(',');
  if (nonce === undefined || receivedAt === undefined || status === undefined || amount === undefined) return undefined;
  return {
    digest,
    nonce,
    jobId: jobIdOf(digest, nonce),
    sequence: Number(sequence),
    duplicates: Number(duplicates),
    receivedAtMs: Number.parseInt(receivedAt, 36),
    status,
    amount,
    ...(state !== undefined && { state }),
    ...(deliveredAt !== undefined && deliveredAt !== '' && { deliveredAtMs: Number.parseInt(deliveredAt, 36) }),
  };
}

/** A status as the claim holds it: itself where it is short and plain, else a digest of it. */
export function claimStatus(status: string | null): string {
  return plain(status ?? '');
}

/** A final amount as the claim holds it: `100KES`; '' for none. Equal texts are equal amounts. */
export function claimAmount(amount: Amount | null): string {
  return amount === null ? '' : plain(amount.value + amount.currency);
}

/** Whether a claim and a transaction say the same; an amount that one of them does not name contradicts nothing. */
export function agrees(claim: Claim, status: string | null, amount: Amount | null): boolean {
  const text = claimAmount(amount);
  return claim.status === claimStatus(status) && (claim.amount === text || claim.amount === '' || text === '');
}

/** For the correction of what a claim says; of its body, where that was altered in what no claim holds. */
export function replacedBy({ sequence, status, amount }: Claim, isAltered = false): Replaced {
  return { sequence, status, amount: isAltered ? alteredAmount : amount };
}

/** No claim holds such an amount: so `accept.lua` knows a correction that counts although status and amount agree. */
const alteredAmount = 'altered';

/** As accept.lua reads it, and as it notes what a conflict contradicts. */
export function replacedText({ sequence, status, amount }: Replaced): string {
  return `${sequence},${status},${amount}`;
}

export function parseReplaced(text: string): Replaced | undefined {
  const [, sequence, status, amount] = /^(\d+),([^,]*),([^,]*)$/.exec(text) ?? [];
  if (sequence === undefined || status === undefined || amount === undefined) return undefined;
  return { sequence: Number(sequence), status, amount };
}

function plain(text: string): string {
  return /^[\w.-]{0,32}$/.test(text) ? text : `~${createHash('sha256').update(text).digest('base64url').slice(0, 16)}`;
}
