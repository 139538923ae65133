// Callbacks of which the gateway has not said yet whether they are true. `accept.lua` puts them in; reconciliation asks.
//
// One small sorted-set entry each, by when it is asked next. It names the callback by reference and kind, not by job: so
// one whose job somebody removed is asked for as well.
import * as z from 'zod';
import { parseJson } from '../../callback/json-text.ts';
import { terminalKind, type Identity } from '../../callback/identity.ts';
import type { BrandQueue } from '../../redis/brand-queue.ts';
import { keysOf } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { dueMembers, type DueBy } from '../../redis/due.ts';

export type Unconfirmed = Omit<Identity, 'brand'>;

/** The reference behind a dot; of a kind of its own JSON, so that any text can be told from any other. */
export function unconfirmedMember({ gatewayReference, kind }: Unconfirmed): string {
  return kind === terminalKind ? `.${gatewayReference}` : JSON.stringify([kind, gatewayReference]);
}

const otherKind = z.tuple([z.string(), z.string()]);

/** Undefined for what nobody here wrote. */
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

/** Puts the question off; one that was answered meanwhile stays answered. */
export async function postponeUnconfirmed(
  redis: RedisConnection,
  queue: BrandQueue,
  unconfirmed: Unconfirmed,
  dueMs: number,
): Promise<void> {
  await redis.zadd(keysOf.unconfirmed(queue), 'XX', dueMs, unconfirmedMember(unconfirmed));
}

/** Has the gateway asked about what it may have confirmed before; what waits to be asked keeps its turn. */
export async function askAgain(
  redis: RedisConnection,
  queue: BrandQueue,
  callbacks: readonly Unconfirmed[],
  dueMs: number,
): Promise<void> {
  const scored = callbacks.flatMap((one) => [dueMs, unconfirmedMember(one)]);
  if (scored.length > 0) await redis.zadd(keysOf.unconfirmed(queue), 'NX', ...scored);
}

/** Nobody remembers them any more, so there is nothing to confirm. */
export async function forgetUnconfirmed(
  redis: RedisConnection,
  queue: BrandQueue,
  forgotten: readonly Unconfirmed[],
): Promise<void> {
  if (forgotten.length > 0) await redis.zrem(keysOf.unconfirmed(queue), ...forgotten.map(unconfirmedMember));
}

export function countUnconfirmed(redis: RedisConnection, queue: BrandQueue): Promise<number> {
  return redis.zcard(keysOf.unconfirmed(queue));
}
