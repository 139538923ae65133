// Runs the world under load and faults, then audits it: each fault once, or random faults from a seed for some minutes.
import { setTimeout as delay } from 'node:timers/promises';
import { callbackBody, newReference } from '../support/callbacks.ts';
import { until } from '../support/until.ts';
import { audit, notFound, violations, type Report } from './auditor.ts';
import { faults } from './faults.ts';
import { pick, type Fault } from './faults/fault.ts';
import { serverName } from './ledger.ts';
import { startLoad, type Load, type Sent } from '../support/load.ts';
import { startTruths, type Truths } from './truths.ts';
import { ackBudgetMs, startWorld, type World } from './world.ts';

export interface PromisesOptions {
  readonly seed: number;
  /** The duration of random faults; by default each fault once. */
  readonly minutes?: number | undefined;
  readonly perSecond: number;
  /** Adds a replica that must confirm each callback. */
  readonly replica?: boolean | undefined;
  /** The CONFIRM mode; with it every tenth callback is forged. */
  readonly confirm?: 'after' | 'before' | undefined;
  /** Limits the faults to those whose names contain this text. */
  readonly only?: string | undefined;
  readonly say: (text: string) => void;
}

export interface PromisesResult {
  readonly seed: number;
  /** The Redis server and its version. */
  readonly server: string;
  readonly faults: ReadonlyMap<string, number>;
  readonly skipped: readonly string[];
  readonly report: Report;
  readonly violations: readonly string[];
}

/** The maximum time for an orphaned spool and a stalled job, plus a margin. */
const settleMaxMs = 90_000;

export async function runPromises(options: PromisesOptions): Promise<PromisesResult> {
  const { seed, minutes, perSecond, replica = false, confirm, only = '', say } = options;
  const env = { RECONCILE_EVERY: `${sweepEveryMs(perSecond, minutes)}ms` };
  const asked = confirm !== undefined && { confirm, env };
  await using world = await startWorld({
    reconciles: true,
    ...(replica && { replica: { waitReplicas: 1 } }),
    ...asked,
  });
  const wanted = faults.filter(({ name }) => name.includes(only));
  const possible = wanted.filter(({ needs }) => needs === undefined || world.has(needs));
  const skipped = wanted
    .filter((fault) => !possible.includes(fault))
    .map(({ name, needs }) => `${name}: needs ${needs}`);
  const server = serverName(await world.admin.info('server'));
  const counts = new Map<string, number>();
  const next = confirm === undefined ? undefined : knownAndForged(world);
  const load = startLoad({ targets: world.receivers.map(({ url }) => url), perSecond, ...(next && { next }) });
  const truths = startTruths(world.gateway);
  const inflict = async (fault: Fault, holdMs: number, random: number) => {
    say(`${fault.name} (${Math.round(holdMs)} ms)`);
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    await fault.run(world, holdMs, random);
  };
  const random = seeded(seed);
  if (minutes === undefined) await eachOnce(possible, inflict, random);
  else await atRandom(possible, inflict, random, minutes * 60_000);
  await Promise.all([load.stop(), truths.stop()]);
  const report = await settleAndAudit(world, load, { truths, forgedMayPass: confirm === 'after' });
  const broken = violations(report);
  const lateLines = linesOfLate(world, report);
  return {
    seed,
    server,
    faults: counts,
    skipped,
    report,
    violations: broken.length === 0 ? broken : [...broken, ...lateLines],
  };
}

/**
 * With confirmation the gateway lists the whole load, and each sweep reads all of it. To keep sweeps from dominating long
 * runs, the interval grows with the number of transactions; missing ones are still found in time.
 */
function sweepEveryMs(perSecond: number, minutes = 0): number {
  const listed = perSecond * 60 * minutes;
  return Math.round(Math.min(Math.max(listed / 3, 3_000), 20_000));
}

const forgedEvery = 10;

/** The gateway knows its callbacks, except every tenth, which is sent by a thief of its key. */
function knownAndForged({ gateway }: World): () => Sent {
  let count = 0;
  return () => {
    count += 1;
    const reference = newReference();
    if (count % forgedEvery === 0) return { reference, body: callbackBody({ reference }), isForged: true };
    const prefix = `known-${count}`;
    const [known] = gateway.addTransactions({ completedAfterMs: 0, merchantReferencePrefix: prefix });
    if (known === undefined) throw new Error('The simulator added no transaction.');
    return { reference: known.gatewayReference, body: gateway.bodyOf(known.gatewayReference) };
  };
}

/** What the receivers logged about late answers, to tell a slow receiver from a slow connection. */
function linesOfLate(world: World, { late }: Report): string[] {
  const isLate = (reference: unknown) => late.some((text) => text.includes(String(reference)));
  return world.receivers
    .flatMap((receiver) => receiver.logs())
    .filter(({ gatewayReference }) => gatewayReference !== undefined && isLate(gatewayReference))
    .map((line) => `its line: ${JSON.stringify(line)}`);
}

export interface SettleOptions {
  readonly settleMs?: number;
  /** The transactions that the reconciler must find. */
  readonly truths?: Truths;
  readonly forgedMayPass?: boolean;
}

/** Waits until the merchant has everything, or the time is over; then compares the index. */
export async function settleAndAudit(
  world: World,
  load: Load,
  { settleMs = settleMaxMs, truths, forgedMayPass = false }: SettleOptions = {},
): Promise<Report> {
  const acknowledged = load.acknowledged().map(({ reference }) => reference);
  const toBeFound = truths?.truths() ?? new Map();
  const destroyed = new Set([...world.removed, ...world.damaged].filter((reference) => !truths?.has(reference)));
  const isSettled = () => {
    // Checking all deliveries costs this process, which is also the merchant, more than accepting them.
    if (world.merchant.deliveries().length < acknowledged.length - destroyed.size) return false;
    const taken = Map.groupBy(
      world.got().filter((delivery) => delivery.taken),
      ({ reference }) => reference,
    );
    const isDone = (reference: string) => taken.has(reference) || destroyed.has(reference);
    return acknowledged.every(isDone) && notFound(toBeFound, taken).length === 0;
  };
  // The auditor reports what is still missing.
  await until(isSettled, { timeoutMs: settleMs, everyMs: 250 }).catch(() => false);
  const forged = load.forged().map(({ reference }) => reference);
  const isDenied = async () => {
    const denied = forged.length === 0 ? new Set<string>() : await world.denied();
    return forged.every((reference) => denied.has(reference) || destroyed.has(reference));
  };
  await until(isDenied, { timeoutMs: settleMs, everyMs: 500 }).catch(() => false);
  return audit({
    answers: load.answers,
    remaining: await world.remaining(),
    got: world.got(),
    outages: world.outages,
    truths: toBeFound,
    destroyed,
    forgedMayPass,
    answerWithinMs: ackBudgetMs + 2_000,
  });
}

type Inflict = (fault: Fault, holdMs: number, random: number) => Promise<void>;

/** Faults of different parts run concurrently, those of one part in sequence; those of everything come last. */
async function eachOnce(possible: readonly Fault[], inflict: Inflict, random: () => number): Promise<void> {
  const ofPart = Map.groupBy(possible, ({ part }) => part);
  const alone = ofPart.get('everything') ?? [];
  ofPart.delete('everything');
  const inTurn = async (list: readonly Fault[]) => {
    for (const fault of list) {
      await inflict(fault, 700 + random() * 500, random());
      await delay(300);
    }
  };
  await Promise.all([...ofPart.values()].map(inTurn));
  await inTurn(alone);
}

/** One or two faults of different parts at once, for 0.5 to 5 s each, with pauses between them. */
async function atRandom(
  possible: readonly Fault[],
  inflict: Inflict,
  random: () => number,
  durationMs: number,
): Promise<void> {
  const endsAtMs = performance.now() + durationMs;
  while (performance.now() < endsAtMs) {
    const first = pick(possible, random());
    const second = pick(possible, random());
    const together = [first, second].every(({ part }) => part !== 'everything') && first.part !== second.part;
    const chosen = together && random() < 0.4 ? [first, second] : [first];
    await Promise.all(chosen.map((fault) => inflict(fault, 500 + random() * 4_500, random())));
    await delay(random() * 3_000);
  }
}

/** Mulberry32: small, and deterministic on every platform. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
