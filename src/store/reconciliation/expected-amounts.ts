// What the merchant ordered: the amount of an expectation, kept for as long as a claim.
//
// accept.lua adds it to the callback's job, so a delivery needs no look-up. It searches for amounts only while one was
// registered within that time, which it learns from a call that it makes anyway. If the callback came first, the amount is
// added to its job here.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { digestOf, terminalKind } from '../../callback/identity.ts';
import type { Amount } from '../../callback/decimal.ts';
import { amountText, jobSchema, type JobData } from '../../callback/job.ts';
import { parseJson } from '../../callback/json-text.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { paidOtherwiseLua } from '../accept/accept-batch.ts';
import { defineScript } from '../../redis/script.ts';

const expectAmount = defineScript({
  lua: paidOtherwiseLua + readFileSync(new URL('./expect-amount.lua', import.meta.url), 'utf8'),
  keyCount: 7,
  reply: z.tuple([z.string(), z.number()]),
});

export interface ExpectedAmount {
  readonly gatewayReference: string;
  readonly amount: Amount;
}

/** Registering again changes nothing: the first amount counts. Returns the job if its delivery began before, or if it is held. */
export async function registerExpectedAmount(
  redis: RedisConnection,
  queue: BrandQueue,
  { gatewayReference, amount }: ExpectedAmount,
  { keptMs, holdMismatched }: { keptMs: number; holdMismatched: boolean },
): Promise<JobData | undefined> {
  const digest = digestOf({ brand: queue.brand, gatewayReference, kind: terminalKind });
  const ownKeys = [keysOf.amountsExpected(queue), keysOf.expectedAmount(queue, digest), keysOf.claim(queue, digest)];
  const keys = [
    ...ownKeys,
    `${queue.base}:wait`,
    `${queue.base}:delayed`,
    keysOf.held(queue),
    keysOf.mismatched(queue),
  ];
  const fixed = [queue.base, digest, JSON.stringify(amountText(amount)), Math.ceil(keptMs)];
  const args = [...fixed, holdMismatched ? '1' : '0', Date.now()];
  const [data, isBegun] = await expectAmount(redis, keys, args);
  return isBegun === 1 ? jobSchema.safeParse(parseJson(data)).data : undefined;
}
