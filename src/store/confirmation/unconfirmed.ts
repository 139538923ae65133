// Callbacks that the gateway has neither confirmed nor denied yet. `accept.lua` adds them; reconciliation asks.
//
// One small sorted-set entry each, by when it is asked next. The entry names the callback by reference and kind, not by job,
// so the gateway is also asked about a callback whose job was removed.
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import { terminalKind, type Identity } from '../../callback/identity.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { dueMembers, type DueBy } from '../../redis/due.ts';

export type Unconfirmed = Omit<Identity, 'brand'>;

/** A dot and the reference; for other kinds JSON. The two forms cannot be confused. */
export function unconfirmedMember({ gatewayReference, kind }: Unconfirmed): string {
  return kind === terminalKind ? `.${gatewayReference}` : JSON.stringify([kind, gatewayReference]);
}

const otherKind = z.tuple([z.string(), z.string()]);

/** Undefined if the text is not one of ours. */
export function parseUnconfirmed(member: string): Unconfirmed | undefined {
  if (member.startsWith('.')) return { gatewayReference: member.slice(1), kind: terminalKind };
  const parsed = otherKind.safeParse(parseJson(member));
  return parsed.success ? { kind: parsed.data[0], gatewayReference: parsed.data[1] } : undefined;
}

export async function dueUnconfirmed(redis: RedisConnection, queue: BrandQueue, by: DueBy): Promise<Unconfirmed[]> {
  const members = await dueMembers(redis, keysOf.unconfirmed(queue), by);
  const parsed = members.map(parseUnconfirmed);
  const foreign = members.filter((_, at) => parsed[at] === undefined);
  if (foreign.length > 0) await redis.zrem(keysOf.unconfirmed(queue), ...foreign);
  return parsed.filter((one) => one !== undefined);
}

/** Asks the gateway again even about confirmed callbacks; those that are still due keep their time. */
export async function askAgain(
  redis: RedisConnection,
  queue: BrandQueue,
  callbacks: readonly Unconfirmed[],
  dueMs: number,
): Promise<void> {
  const scored = callbacks.flatMap((one) => [dueMs, unconfirmedMember(one)]);
  if (scored.length > 0) await redis.zadd(keysOf.unconfirmed(queue), 'NX', ...scored);
}

/** Their claims have expired, so there is nothing left to confirm. */
export async function forgetUnconfirmed(
  redis: RedisConnection,
  queue: BrandQueue,
  forgotten: readonly Unconfirmed[],
): Promise<void> {
  if (forgotten.length > 0) await redis.zrem(keysOf.unconfirmed(queue), ...forgotten.map(unconfirmedMember));
}
