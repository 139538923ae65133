// Calls accept.lua with a batch of callbacks of one brand. See that file for the guarantees.
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { amountCheckOf, type AmountCheck } from '../../callback/amount-check.ts';
import { parseJson } from '../../callback/json-text.ts';
import { digestOf, isTerminal, kindOf, referenceDigest } from '../../callback/identity.ts';
import { modeOfNewBrand, type ConfirmMode } from '../../config/confirm-modes.ts';
import type { Callback } from '../../callback/parse-callback.ts';
import { hopsMax, namesOf, noLineage, parseLineage, type Lineage } from '../../redis/brand-lineage.ts';
import {
  indexKeys,
  bullKeys,
  brandQueue,
  keysOf,
  indexPartOf,
  indexParts,
  type BrandQueue,
} from '../../redis/brand-queue.ts';
import { claimAmount, claimStatus, replacedText } from './claims.ts';
import { createConfirmedCall, type Confirmation } from '../../redis/confirmed-call.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { amountText, jobName, jobOptions, toBrand, type Replaced, type Source } from '../../callback/job.ts';
import { unconfirmedMember } from '../confirmation/unconfirmed.ts';
import { quarantineTtlSlackMs } from '../quarantine/quarantine-store.ts';
import { defineScript } from '../../redis/script.ts';

export interface AcceptItem {
  readonly callback: Callback;
  readonly source: Source;
  readonly receivedAtMs: number;
  readonly nonce: string;
  /** The nonce of the removed job that this one replaces. */
  readonly insteadOf?: string | undefined;
  /** The job's JSON text. */
  readonly data: string;
  /** Only on corrections: the state that each was based on. Missing on those of former versions. */
  readonly replaces?: Replaced | undefined;
}

export const acceptOutcomes = [
  'queued',
  'duplicate',
  'conflict',
  /** A correction of a state that has changed since; it has no effect. */
  'overtaken',
] as const;
export type AcceptOutcome = (typeof acceptOutcomes)[number];

export interface AcceptTimes {
  readonly DEDUP_TTL: number;
  readonly RETAIN_COMPLETED: number;
  readonly RETAIN_FAILED: number;
  readonly QUARANTINE_RETAIN: number;
}

/** The script's settings besides the callbacks; the configuration contains them all. */
export interface AcceptSettings extends AcceptTimes {
  /** If missing, no callback is confirmed. */
  readonly brands?: ReadonlyMap<string, { readonly confirm: ConfirmMode }>;
  readonly CONFIRM_WAIT?: number;
  readonly RECONCILE_GRACE?: number;
  readonly RECONCILE_EVERY?: number;
  readonly HOLD_MISMATCHED?: boolean;
  /** Called for each callback that is held because of its amount. */
  readonly onMismatchHeld?: (check: AmountCheck) => void;
}

/** Keeps one call short, since Redis serves nobody else meanwhile. */
export const batchSizeMax = 16;
/** Looking a callback up costs a fraction of accepting it. */
export const lookSizeMax = 256;

export const acceptKeyCount = 23;

const outcomeSchema = z.enum(acceptOutcomes);
/** The script's reply; callers see a held callback as queued. */
const takenSchema = z.union([
  outcomeSchema,
  z
    .string()
    .regex(/^held:"/)
    .transform((text) => ({ heldAgainst: z.string().parse(parseJson(text.slice('held:'.length))) })),
]);
/** `gone`: not stored, so it must be handed in again. */
const lookedSchema = z.enum([...acceptOutcomes, 'gone']);
const lineageSchema = z
  .tuple([z.literal('lineage'), z.string(), z.enum(['0', '1'])])
  .transform(([, text, held]) => ({ text, isHeld: held === '1' }));
const options = JSON.stringify(jobOptions);
/** `marked`: always writes something, so that WAIT has a write to wait for. `look`: does so too, and accepts nothing. */
type AcceptMode = 'plain' | 'marked' | 'look';

const readScript = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');
/** For every script that may hold a callback because of its amount. */
export const paidOtherwiseLua = readScript('./paid-otherwise.lua');

/** Exported for the benchmark, which runs it with redis-benchmark. */
export const acceptScript = [
  paidOtherwiseLua,
  ...['../callbacks/lease.lua', './judge-claimed.lua', './gather-jobs.lua', './accept.lua'].map(readScript),
].join('');

const accepting = { lua: acceptScript, keyCount: acceptKeyCount };
const runAccept = defineScript({ ...accepting, reply: z.unknown() });

/** While `brand move` copies a brand's claims, duplicates cannot be recognized. */
export class BrandHeldError extends Error {
  readonly code = 'BRAND_IS_MOVED';
}

/**
 * Loads the script on a connection; call once per connection. Resolves to one outcome per item, in order, and whether
 * enough replicas confirmed. Throws if Redis refuses, times out or is down; the outcome is then unknown.
 */
export function createAcceptBatch(
  redis: RedisConnection,
  queue: BrandQueue,
  settings: AcceptSettings,
  wait: Confirmation,
) {
  const mode = wait.replicas === 0 ? 'plain' : 'marked';
  const call = createCall({ redis, queue, settings, wait, mode, outcome: takenSchema });

  return async function acceptBatch(items: readonly AcceptItem[]) {
    const { outcomes, confirmed } = await call(items);
    return { outcomes: outcomes.map((taken, at) => outcomeOf(taken, items[at])), confirmed };
  };

  function outcomeOf(taken: z.infer<typeof takenSchema>, item: AcceptItem | undefined): AcceptOutcome {
    if (typeof taken === 'string') return taken;
    const { status = null, finalAmount = null } = item?.callback ?? {};
    const paid = finalAmount === null ? null : amountText(finalAmount);
    const check = amountCheckOf({ status, finalAmount: paid, expectedAmount: taken.heldAgainst });
    if (check !== undefined) settings.onMismatchHeld?.(check);
    return 'queued';
  }
}

/**
 * Finds out which of the callbacks handed in earlier are missing, and whether enough replicas have the others. Throws as
 * acceptBatch does.
 */
export function createLook(redis: RedisConnection, queue: BrandQueue, settings: AcceptSettings, wait: Confirmation) {
  const call = createCall({ redis, queue, settings, wait, mode: 'look', outcome: lookedSchema });

  return async function look(items: readonly AcceptItem[]) {
    const { outcomes, confirmed } = await call(items.map((item) => ({ ...item, data: '' })));
    return { gone: items.filter((_, index) => outcomes[index] === 'gone'), confirmed };
  };
}

interface CallOptions<Outcome> {
  readonly redis: RedisConnection;
  readonly queue: BrandQueue;
  readonly settings: AcceptSettings;
  readonly wait: Confirmation;
  readonly mode: AcceptMode;
  readonly outcome: z.ZodType<Outcome>;
}

interface Batch<Outcome> {
  readonly outcomes: readonly Outcome[];
  readonly confirmed: boolean;
}

type Call<Outcome> = (items: readonly AcceptItem[], hops?: number) => Promise<Batch<Outcome>>;

/** Calls the script with the brand's present and former names, or for the brand that took it over. */
function createCall<Outcome>(options: CallOptions<Outcome>): Call<Outcome> {
  const { redis, queue, settings, wait, mode } = options;
  const argumentsOf = acceptArguments(queue, settings, mode);
  const callConfirmed = createConfirmedCall(redis, accepting, wait);
  const replySchema = z.union([z.array(options.outcome), lineageSchema]);
  const elsewhere = new Map<string, Call<Outcome>>();
  let lineage: Lineage = noLineage;
  let lineageText = '';

  return async function acceptBatch(items: readonly AcceptItem[], hops = 0): Promise<Batch<Outcome>> {
    for (let tries = 0; tries <= hopsMax; tries += 1) {
      const { reply, confirmed } = await call(argumentsOf(items, namesOf(queue, lineage), lineageText));
      if (!('text' in reply)) return { outcomes: reply, confirmed };
      if (reply.isHeld) throw new BrandHeldError(`${queue.brand} is being moved`);
      const found = parseLineage(reply.text);
      if (found.movedTo !== undefined) return handOver(found.movedTo, items, hops); // not cached: it may be moved back
      lineage = found;
      lineageText = reply.text;
    }
    throw new Error(`The lineage of ${queue.brand} keeps changing.`);
  };

  async function call(args: readonly (string | number)[]) {
    if (wait.replicas === 0)
      return {
        reply: replySchema.parse(
          await runAccept(redis, args.slice(0, acceptKeyCount).map(String), args.slice(acceptKeyCount)),
        ),
        confirmed: true,
      };
    const { result, confirmed } = await callConfirmed(args);
    return { reply: replySchema.parse(result), confirmed };
  }

  /** Hands the items to the brand that took this one over. */
  async function handOver(brand: string, items: readonly AcceptItem[], hops: number): Promise<Batch<Outcome>> {
    if (hops === hopsMax) throw new Error(`${queue.brand} was moved in a cycle.`);
    const acceptThere = elsewhere.get(brand) ?? createCall({ ...options, queue: brandQueue(brand, queue.naming) });
    elsewhere.set(brand, acceptThere);
    return acceptThere(
      items.map((item) => ({ ...item, data: toBrand(item.data, brand) })),
      hops + 1,
    );
  }
}

/** The script's keys and fixed arguments. */
export function acceptArguments(queue: BrandQueue, settings: AcceptSettings, mode: AcceptMode = 'plain') {
  const keys = acceptKeys(queue);
  const quarantineTtlMs = settings.QUARANTINE_RETAIN + quarantineTtlSlackMs;
  const { DEDUP_TTL, RETAIN_COMPLETED, RETAIN_FAILED } = settings;
  const merchantTtlMs = Math.max(RETAIN_COMPLETED, RETAIN_FAILED, DEDUP_TTL, quarantineTtlMs);
  const ttls = [DEDUP_TTL, merchantTtlMs, quarantineTtlMs];
  const fixed = [...ttls, jobName, options, queue.brand, mode, ...confirmationOf(queue.brand, settings)];

  return (items: readonly AcceptItem[], names = [queue.brand], lineageText = ''): (string | number)[] => {
    const formerNames = names.slice(1);
    const args: (string | number)[] = [...keys, queue.base, Date.now(), ...fixed];
    args.push(lineageText, formerNames.length, ...formerNames);
    for (const item of items) pushItem(args, names, item);
    return args;
  };
}

/** When the gateway is asked, how long workers wait for its answer, and whether a mismatch is held. */
function confirmationOf(brand: string, settings: AcceptSettings): (string | number)[] {
  const { RECONCILE_GRACE = 0, RECONCILE_EVERY = 0, CONFIRM_WAIT = 0, HOLD_MISMATCHED = false, brands } = settings;
  const isHolding = HOLD_MISMATCHED ? '1' : '0';
  switch (brands?.get(brand)?.confirm ?? modeOfNewBrand(brands?.values() ?? [])) {
    case 'after': // by then a sweep has confirmed most of them
      return [RECONCILE_GRACE + RECONCILE_EVERY, 0, isHolding];
    case 'before':
      return [0, CONFIRM_WAIT, isHolding];
    case 'off':
      return ['', 0, isHolding];
  }
}

function acceptKeys(queue: BrandQueue): string[] {
  const ofBullMq = ['wait', 'meta', 'id', 'active', 'events', 'marker', 'delayed', 'completed', 'failed'];
  return [
    ...bullKeys(queue, ...ofBullMq),
    ...indexKeys(queue),
    keysOf.quarantine(queue),
    keysOf.quarantineBytes(queue),
    keysOf.unverified(queue),
    keysOf.mark(queue),
    keysOf.lineage(queue),
    keysOf.lineageHold(queue),
    keysOf.amountsExpected(queue),
    keysOf.unconfirmed(queue),
    keysOf.held(queue),
    keysOf.mismatched(queue),
    keysOf.listening(queue),
  ];
}

function pushItem(args: (string | number)[], [brand = '', ...formerNames]: readonly string[], item: AcceptItem): void {
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
    item.insteadOf === undefined ? item.source : `for:${item.insteadOf}`,
    indexParts.indexOf(indexPartOf(status)) + 1,
    isTerminal(status) ? '' : referenceDigest(brand, 'gateway', gatewayReference),
    item.replaces === undefined ? '' : replacedText(item.replaces),
    item.source === 'callback' ? unconfirmedMember({ gatewayReference, kind }) : '',
  );
  for (const name of formerNames) args.push(digestOf({ brand: name, gatewayReference, kind }));
}
