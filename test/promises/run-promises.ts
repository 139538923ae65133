// Runs the world under load and faults, then audits it: each fault once, or at random from a seed for some minutes.
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/until.ts';
import { audit, violations, type Report } from './auditor.ts';
import { faults, type Fault } from './faults.ts';
import { startLoad, type Load } from './load.ts';
import { ackBudgetMs, startWorld, type World } from './world.ts';

export interface PromisesOptions {
  readonly seed: number;
  /** At random for so long; without, each fault once in turn. */
  readonly minutes?: number | undefined;
  readonly perSecond: number;
  readonly say: (text: string) => void;
}

export interface PromisesResult {
  readonly seed: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly skipped: readonly string[];
  readonly report: Report;
  readonly violations: readonly string[];
}

/** What an orphaned spool and a stalled job need at most, and then some. */
const settleMaxMs = 90_000;

export async function runPromises({ seed, minutes, perSecond, say }: PromisesOptions): Promise<PromisesResult> {
  await using world = await startWorld();
  const possible = faults.filter(({ needs }) => needs === undefined || world.disk.canBeFilled);
  const skipped = faults
    .filter((fault) => !possible.includes(fault))
    .map(({ name, needs }) => `${name}: needs ${needs}`);
  const counts = new Map<string, number>();
  const load = startLoad({ targets: world.receivers.map(({ url }) => url), perSecond });
  const inflict = async (fault: Fault, holdMs: number, random: number) => {
    say(`${fault.name} (${Math.round(holdMs)} ms)`);
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    await fault.run(world, holdMs, random);
  };
  const random = seeded(seed);
  if (minutes === undefined) await eachOnce(possible, inflict, random);
  else await atRandom(possible, inflict, random, minutes * 60_000);
  await load.stop();
  const report = await settleAndAudit(world, load);
  return { seed, faults: counts, skipped, report, violations: violations(report) };
}

/** Waits until the merchant has everything that was acknowledged, or for long enough; then compares the ledgers. */
export async function settleAndAudit(
  world: World,
  load: Load,
  { settleMs = settleMaxMs }: { settleMs?: number } = {},
): Promise<Report> {
  const acknowledged = load.acknowledged().map(({ reference }) => reference);
  const isSettled = () => {
    const taken = new Set(world.got().flatMap(({ reference, taken }) => (taken ? [reference] : [])));
    return acknowledged.every((reference) => taken.has(reference));
  };
  // What is still missing then is the auditor's to report.
  await until(isSettled, { timeoutMs: settleMs, everyMs: 250 }).catch(() => false);
  return audit({
    answers: load.answers,
    remaining: await world.remaining(),
    got: world.got(),
    outages: world.outages,
    answerWithinMs: ackBudgetMs + 2_000,
  });
}

type Inflict = (fault: Fault, holdMs: number, random: number) => Promise<void>;

async function eachOnce(possible: readonly Fault[], inflict: Inflict, random: () => number): Promise<void> {
  for (const fault of possible) {
    await inflict(fault, 1_500 + random() * 500, random());
    await delay(500);
  }
}

/** One or two faults of different parts at once, of half a second to five, with pauses between them. */
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

function pick<T>(list: readonly T[], random: number): T {
  const picked = list[Math.floor(random * list.length)];
  if (picked === undefined) throw new Error('there is nothing to pick from');
  return picked;
}

/** Mulberry32: small, and the same everywhere. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
