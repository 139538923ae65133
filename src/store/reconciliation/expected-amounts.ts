// What the merchant ordered: the amount of an expectation, kept for as long as a callback is remembered.
//
// accept.lua puts it into the job of the callback, so a delivery knows it without asking. It looks for amounts only while
// one was registered within that time, which it learns from a call that it makes anyway. Where the callback came first,
// its job is told here.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { digestOf, terminalKind } from '../../callback/identity.ts';
import type { Amount } from '../../callback/decimal.ts';
import { amountText, jobSchema, type JobData } from '../../callback/job.ts';
import { parseJson } from '../../callback/json-text.ts';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { defineScript } from '../../redis/script.ts';

const expectAmount = defineScript({
  lua: readFileSync(new URL('./expect-amount.lua', import.meta.url), 'utf8'),
  keyCount: 3,
  reply: z.tuple([z.string(), z.number()]),
});

export interface ExpectedAmount {
  readonly gatewayReference: string;
  readonly amount: Amount;
}

/** Registering one again changes nothing: the first amount counts. Answers the job where a delivery of it was begun before. */
export async function registerExpectedAmount(
  redis: RedisConnection,
  queue: BrandQueue,
  { gatewayReference, amount }: ExpectedAmount,
  keptMs: number,
): Promise<JobData | undefined> {
  const digest = digestOf({ brand: queue.brand, gatewayReference, kind: terminalKind });
  const keys = [keysOf.amountsExpected(queue), keysOf.expectedAmount(queue, digest), keysOf.claim(queue, digest)];
  const args = [queue.base, digest, JSON.stringify(amountText(amount)), Math.ceil(keptMs)];
  const [data, isBegun] = await expectAmount(redis, keys, args);
  return isBegun === 1 ? jobSchema.safeParse(parseJson(data)).data : undefined;
}
