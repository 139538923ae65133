// The claim: the memory of one identity, a short text under a key of our own, which BullMQ's remove, clean, drain and
// retention cannot touch. `accept.lua` writes it; delivery-records.ts appends that it was delivered, and retention how the
// job ended.
//
// Text: `nonce,sequence,duplicates,receivedAt,status,amount[,state,deliveredAt]`, times in base 36 ms. It is short because
// every remembered reference takes this much memory for all of DEDUP_TTL.
import { createHash } from 'node:crypto';
import type { Amount } from '../../callback/decimal.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { jobIdOf, type Replaced } from '../../callback/job.ts';

export interface Claim {
  readonly digest: string;
  readonly nonce: string;
  /** The current job: the callback's or its latest correction's. */
  readonly jobId: string;
  readonly sequence: number;
  readonly duplicates: number;
  readonly receivedAtMs: number;
  /** In the form of `claimStatus`. */
  readonly status: string;
  /** In the form of `claimAmount`; '' if the callback named no final amount. */
  readonly amount: string;
  /** `delivered` as soon as it is recorded, or how the job ended when retention removed it. */
  readonly state?: string;
  readonly deliveredAtMs?: number;
}

/** Reads the claims under these digests in one pipeline; undefined if there is none. */
export async function readClaims(
  redis: RedisConnection,
  queue: BrandQueue,
  digests: readonly string[],
): Promise<(Claim | undefined)[]> {
  if (digests.length === 0) return [];
  const texts = await redis.mget(digests.map((digest) => keysOf.claim(queue, digest)));
  return digests.map((digest, index) => parseClaim(digest, texts[index]));
}

/** Undefined if there is none, or if accept.lua could not read it either. */
export function parseClaim(digest: string, text: string | null | undefined): Claim | undefined {
  if (!text || !/^[^,]*,\d+,\d+,/.test(text)) return undefined;
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

/** A status in the form that a claim holds: itself if short and plain, else a digest of it. */
export function claimStatus(status: string | null): string {
  return plain(status ?? '');
}

/** A final amount in the form that a claim holds: `100KES`; '' if none. Equal texts are equal amounts. */
export function claimAmount(amount: Amount | null): string {
  return amount === null ? '' : plain(amount.value + amount.currency);
}

/** Whether a claim and a transaction agree; an amount that only one of them names contradicts nothing. */
export function agrees(claim: Claim, status: string | null, amount: Amount | null): boolean {
  const text = claimAmount(amount);
  return claim.status === claimStatus(status) && (claim.amount === text || claim.amount === '' || text === '');
}

/** The state that a correction is based on. `isAltered`: only the body differs, in fields that no claim holds. */
export function replacedBy({ sequence, status, amount }: Claim, isAltered = false): Replaced {
  return { sequence, status, amount: isAltered ? alteredAmount : amount };
}

/** Never a real amount; tells `accept.lua` to apply a correction even though status and amount agree. */
const alteredAmount = 'altered';

/** The form that accept.lua reads, and in which it notes what a conflict contradicts. */
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
