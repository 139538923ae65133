// Writes the gateway's answer about callbacks: confirmed, denied, or undecidable. See settle-confirmation.lua.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { HeldReason } from '../../callback/confirmation.ts';
import { bullKeys, keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';
import { requeueLua } from './requeue.ts';
import { unconfirmedMember, type Unconfirmed } from './unconfirmed.ts';

export type GatewayWord =
  | { readonly answer: 'yes' }
  | { readonly answer: 'no'; readonly reason: Exclude<HeldReason, 'amount'> }
  /** A denial for undelivered callbacks; for delivered ones it cannot be decided. */
  | { readonly answer: 'otherwise'; readonly reason: Exclude<HeldReason, 'amount'> }
  /** It cannot be decided, and nothing waits for it any longer. */
  | { readonly answer: 'open' };

export interface Asked extends Unconfirmed {
  readonly jobId: string;
}

const outcomes = ['', 'yes', 'no', 'open', 'held', 'released'] as const;
/** '' if the answer was not new. */
export type ConfirmationOutcome = (typeof outcomes)[number];

const settle = defineScript({
  lua: requeueLua + readFileSync(new URL('./settle-confirmation.lua', import.meta.url), 'utf8'),
  keyCount: 9,
  reply: z.array(z.enum(outcomes)),
});
/** Redis serves nobody else meanwhile. */
const batchMax = 200;

/** One outcome for each, in order. Rejects if Redis fails. */
export async function settleConfirmation(
  redis: RedisConnection,
  queue: BrandQueue,
  asked: readonly Asked[],
  word: GatewayWord,
): Promise<ConfirmationOutcome[]> {
  const ofBullMq = bullKeys(queue, 'wait', 'delayed', 'active', 'meta', 'events', 'marker');
  const keys = [keysOf.unconfirmed(queue), keysOf.denied(queue), keysOf.held(queue), ...ofBullMq];
  const reason = 'reason' in word ? word.reason : '';
  const settled: ConfirmationOutcome[] = [];
  for (let at = 0; at < asked.length; at += batchMax) {
    const batch = asked.slice(at, at + batchMax).flatMap((one) => [unconfirmedMember(one), one.jobId]);
    settled.push(...(await settle(redis, keys, [queue.base, Date.now(), word.answer, reason, ...batch])));
  }
  return settled;
}

/** Whether any callback still awaits an answer. */
export async function isAnythingOpen(redis: RedisConnection, queue: BrandQueue): Promise<boolean> {
  return (await redis.exists(keysOf.unconfirmed(queue), keysOf.denied(queue), keysOf.held(queue))) > 0;
}

/** Those for which an answer would be new: unconfirmed, denied or held. Three commands for all of them. */
export async function awaitingConfirmation<T extends Asked>(
  redis: RedisConnection,
  queue: BrandQueue,
  listed: readonly T[],
): Promise<T[]> {
  if (listed.length === 0) return [];
  const jobIds = listed.map(({ jobId }) => jobId);
  const found = await Promise.all([
    redis.zmscore(keysOf.unconfirmed(queue), ...listed.map(unconfirmedMember)),
    redis.zmscore(keysOf.denied(queue), ...jobIds),
    redis.zmscore(keysOf.held(queue), ...jobIds),
  ]);
  return listed.filter((_, at) => found.some((ofSet) => ofSet[at] !== null));
}
