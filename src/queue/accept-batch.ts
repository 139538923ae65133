// Calls accept.lua with a batch of callbacks of one brand. See that file for what it promises.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { digestOf, isTerminal, kindOf, referenceDigest } from '../callback/identity.ts';
import type { Callback } from '../callback/parse-callback.ts';
import { keysOf, ledgerPartOf, ledgerParts, type BrandQueue } from './brand-queue.ts';
import { claimAmount, claimStatus } from './claims.ts';
import { createConfirmedCall, type Confirmation } from './confirmed-call.ts';
import type { RedisConnection } from './connections.ts';
import { jobName, jobOptions, type Source } from './job.ts';
import { quarantineTtlSlackMs } from './quarantine-store.ts';

export interface AcceptItem {
  readonly callback: Callback;
  readonly source: Source;
  readonly receivedAtMs: number;
  readonly nonce: string;
  /** The job's JSON text. */
  readonly data: string;
}

export const acceptOutcomes = ['queued', 'duplicate', 'conflict'] as const;
export type AcceptOutcome = (typeof acceptOutcomes)[number];

export interface AcceptTimes {
  readonly DEDUP_TTL: number;
  readonly RETAIN_COMPLETED: number;
  readonly RETAIN_FAILED: number;
  readonly QUARANTINE_RETAIN: number;
}

/** As many as keep one call short; Redis serves nobody else meanwhile. */
export const batchSizeMax = 16;

export const acceptKeyCount = 16;

const outcomesSchema = z.array(z.enum(acceptOutcomes));
const command = 'payaloAccept';
const options = JSON.stringify(jobOptions);
/** `marked`: the call leaves a write behind whatever it finds, for WAIT to wait for. */
type AcceptMode = 'plain' | 'marked';

/** Exported for the benchmark, which has redis-benchmark call it. */
export const acceptScript = readFileSync(new URL('./accept.lua', import.meta.url), 'utf8');

export type AcceptBatch = ReturnType<typeof createAcceptBatch>;

/** Teaches a connection the script; call once per connection. */
export function createAcceptBatch(redis: RedisConnection, queue: BrandQueue, times: AcceptTimes, wait: Confirmation) {
  redis.defineCommand(command, { lua: acceptScript, numberOfKeys: acceptKeyCount });
  const argumentsOf = acceptArguments(queue, times, wait.replicas === 0 ? 'plain' : 'marked');
  const callConfirmed = createConfirmedCall(redis, { lua: acceptScript, numberOfKeys: acceptKeyCount }, wait);

  /**
   * One outcome per item, in order, and whether enough replicas confirmed. Throws where Redis refused, timed out or is
   * away: then nothing is known.
   */
  return async function acceptBatch(items: readonly AcceptItem[]) {
    const args = argumentsOf(items);
    if (wait.replicas === 0) return { outcomes: outcomesSchema.parse(await run(redis, args)), confirmed: true };
    const { result, confirmed } = await callConfirmed(args);
    return { outcomes: outcomesSchema.parse(result), confirmed };
  };
}

/** What the script is called with, its keys first. */
export function acceptArguments(queue: BrandQueue, times: AcceptTimes, mode: AcceptMode = 'plain') {
  const keys = acceptKeys(queue);
  const merchantTtlMs = Math.max(times.RETAIN_COMPLETED, times.RETAIN_FAILED, times.DEDUP_TTL);
  const quarantineTtlMs = times.QUARANTINE_RETAIN + quarantineTtlSlackMs;
  const fixed = [times.DEDUP_TTL, merchantTtlMs, quarantineTtlMs, jobName, options, queue.brand, mode];

  return (items: readonly AcceptItem[]): (string | number)[] => {
    const args: (string | number)[] = [...keys, queue.base, Date.now(), ...fixed];
    for (const item of items) pushItem(args, queue.brand, item);
    return args;
  };
}

const scriptCommand = z.custom<(...args: (string | number)[]) => Promise<unknown>>(
  (value) => typeof value === 'function',
);

/** ioredis adds a defined command under its name, where the type checker cannot see it. */
function run(on: RedisConnection, args: readonly (string | number)[]): Promise<unknown> {
  return scriptCommand.parse(Reflect.get(on, command)).apply(on, [...args]);
}

function acceptKeys(queue: BrandQueue): string[] {
  const ofBullMq = ['wait', 'meta', 'id', 'active', 'events', 'marker', 'delayed', 'completed', 'failed'];
  return [
    ...ofBullMq.map((key) => `${queue.base}:${key}`),
    ...ledgerParts.map((part) => keysOf.ledger(queue, part)),
    keysOf.quarantine(queue),
    keysOf.quarantineBytes(queue),
    keysOf.unverified(queue),
    keysOf.mark(queue),
  ];
}

function pushItem(args: (string | number)[], brand: string, item: AcceptItem): void {
  const { gatewayReference, merchantReference, status, finalAmount } = item.callback;
  const kind = kindOf(status);
  if (kind === undefined) throw new TypeError('A pending callback has no identity and is never enqueued.');
  args.push(
    digestOf({ brand, gatewayReference, kind }),
    item.nonce,
    `${item.receivedAtMs.toString(36)},${claimStatus(status)},${claimAmount(finalAmount)}`,
    item.receivedAtMs,
    merchantReference === null ? '' : referenceDigest(brand, 'merchant', merchantReference),
    item.data,
    item.source,
    ledgerParts.indexOf(ledgerPartOf(status)) + 1,
    isTerminal(status) ? '' : referenceDigest(brand, 'gateway', gatewayReference),
  );
}
