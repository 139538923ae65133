// `brand`: moves a brand's callbacks to another name, and retires names that nobody serves any more.
import type { Command } from 'commander';
import { readLineage } from '../redis/brand-lineage.ts';
import { moveBrand, type MoveResult } from '../store/brands/brand-move.ts';
import { brandQueue, keysOf } from '../redis/brand-queue.ts';
import {
  describeHoldings,
  findBrands,
  isNothing,
  noteBrand,
  readHoldings,
  retireBrand,
  type Holdings,
} from '../store/brands/brand-registry.ts';
import { confirmation } from '../redis/confirmation.ts';
import { isBrandName } from '../config/brand-values.ts';
import type { Config } from '../config/config.ts';
import { directIntake } from './direct-intake.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { noteAction } from './operator-session.ts';
import { printable } from './output.ts';
import { inSession, type Session } from './session.ts';

const examples = `
A start is refused while Redis holds callbacks of a brand that is not configured. \`move\` moves everything (queue, claims,
quarantine, expectations) to another name; webhook-ids stay the same, and sweeps deliver nothing again. It may be killed and
run again at any time, and processes can keep receiving meanwhile.

Examples:
  payalo-receiver brand list
  payalo-receiver brand move default acme
  payalo-receiver brand retire acme
  payalo-receiver brand reopen default

Exit codes: 0 done, 1 something is left (run it again) or the brand has nothing here, 2 wrong usage.`;

export function addBrand(program: Command): void {
  const brand = program.command('brand').description('list, rename or retire brands').addHelpText('after', examples);

  brand.command('list', { isDefault: true }).description('list the brands with data in Redis').action(inSession(list));

  brand
    .command('move')
    .description("move a brand's queue, claims and quarantine to another name")
    .argument('<from>', 'the name until now')
    .argument('<to>', 'the name from now on')
    .action(inSession(move));

  brand
    .command('retire')
    .description('let starts ignore that nobody serves this brand')
    .argument('<brand>')
    .action(inSession(retire));

  brand
    .command('reopen')
    .description("use a moved brand's old name for another merchant")
    .argument('<brand>')
    .action(inSession(reopen));
}

function requireBrandName(text: string): void {
  if (!isBrandName(text))
    throw new CommandError('usage', `${printable(text)} is not a brand name: use only a-z, 0-9 and -`);
}

async function list({ config, redis: connect, output }: Session): Promise<ExitCode> {
  const redis = await connect();
  const brands: ({ brand: string; configured: boolean; movedTo: string | null } & Holdings)[] = [];
  for (const brand of (await findBrands(redis, config)).keys()) {
    const holdings = await readHoldings(redis, brandQueue(brand, config), config.DEDUP_TTL);
    const { movedTo = null } = await readLineage(redis, brandQueue(brand, config));
    if (!isNothing(holdings) || config.brands.has(brand))
      brands.push({ brand, configured: config.brands.has(brand), movedTo, ...holdings });
  }
  output.result({ brands }, () =>
    output.table(
      ['BRAND', 'CONFIGURED', 'HOLDS'],
      brands.map(({ brand, configured, ...holdings }) => [
        brand,
        { text: configured ? 'yes' : 'no', style: configured ? 'good' : 'bad' },
        describeHoldings(holdings),
      ]),
    ),
  );
  return exitCodes.done;
}

async function move(session: Session, from: string, to: string): Promise<ExitCode> {
  for (const name of [from, to]) requireBrandName(name);
  if (from === to) throw new CommandError('usage', 'FROM and TO are the same.');
  const { config, output } = session;
  const { redis, intake } = await directIntake(session);
  const [fromQueue, toQueue] = [brandQueue(from, config), brandQueue(to, config)];
  const isConfirmed = confirmation(redis, toQueue, config.REDIS_WAIT_REPLICAS);
  const retained = [config.RETAIN_COMPLETED, config.RETAIN_FAILED, config.DEDUP_TTL];
  const result = await moveBrand({
    redis,
    from: fromQueue,
    to: toQueue,
    async confirm() {
      if (await isConfirmed()) return;
      throw new CommandError(
        'unavailable',
        'Fewer replicas than REDIS_WAIT_REPLICAS have the copy, so nothing was removed. Run this again.',
      );
    },
    handIn: async (entry) => {
      if ((await intake.resubmit([entry])) !== 'stored')
        throw new CommandError('unavailable', 'Redis does not take a callback.');
    },
    merchantTtlMs: Math.max(...retained),
    lineageTtlMs: lineageTtlMs(config),
    claimTtlMs: config.DEDUP_TTL,
    patienceMs: config.FORWARD_TIMEOUT + patienceMarginMs,
    onProgress: ({ jobs, claims }) => output.progress(jobs, jobs, `callbacks moved, ${claims} claims`),
  });
  await noteAction(session, 'brand.move', `${from} ${to}`, result.kind);
  output.result({ from, to, ...result }, () => output.line(tell(result, from, to)));
  if (!config.brands.has(to))
    output.complain(`The brand ${to} is not configured here: nothing delivers its callbacks yet.`);
  return result.kind === 'moved' ? exitCodes.done : exitCodes.no;
}

const patienceMarginMs = 5_000;
const dayMs = 86_400_000;

/** Longer than anything of the old name can still be looked up. */
function lineageTtlMs({ RETAIN_COMPLETED, RETAIN_FAILED, DEDUP_TTL, QUARANTINE_RETAIN }: Config): number {
  return Math.max(RETAIN_COMPLETED, RETAIN_FAILED, DEDUP_TTL, QUARANTINE_RETAIN) + dayMs;
}

function tell(result: MoveResult, from: string, to: string): string {
  switch (result.kind) {
    case 'moved':
    case 'left': {
      const { jobs, claims, quarantined } = result.moved;
      const paused = result.paused ? ` Deliveries of ${to} are paused, as those of ${from} were.` : '';
      const done = `Moved from ${from} to ${to}: ${jobs} callbacks, ${claims} claims, ${quarantined} in quarantine.${paused}`;
      if (result.kind === 'moved') return `${done} Nothing is left of ${from}.`;
      return (
        `${done} Left: ${describeHoldings(result.left)}. They are being delivered, or a process still serves ${from}: ` +
        'stop it or give it the new configuration, and run this again.'
      );
    }
    case 'nothing':
      return `There is nothing of the brand ${from} here.`;
    case 'busy':
      return `Another \`brand move\` of ${from} is running. Wait until it ends.`;
    case 'target-moved':
      return `Not moved: ${to} was itself moved to ${result.to}. Move ${from} to ${result.to}, or reopen ${to} first.`;
  }
}

async function retire(session: Session, name: string): Promise<ExitCode> {
  requireBrandName(name);
  const { config, output } = session;
  if (config.brands.has(name))
    throw new CommandError('usage', `The brand ${name} is configured; remove it from the configuration first.`);
  const redis = await session.redis();
  const holdings = await readHoldings(redis, brandQueue(name, config), config.DEDUP_TTL);
  const outcome = holdings.undelivered > 0 ? 'undelivered' : 'retired';
  if (outcome === 'retired') await retireBrand(redis, config, name);
  await noteAction(session, 'brand.retire', name, outcome);
  output.result({ brand: name, outcome, ...holdings }, () =>
    output.line(
      outcome === 'retired'
        ? `Retired: starts ignore ${name} from now on. What it holds (${describeHoldings(holdings)}) stays.`
        : `Not retired: ${holdings.undelivered} callbacks of ${name} are not delivered. Deliver or move them first.`,
    ),
  );
  return outcome === 'retired' ? exitCodes.done : exitCodes.no;
}

/** From now on callbacks for the old name belong to another merchant. */
async function reopen(session: Session, name: string): Promise<ExitCode> {
  requireBrandName(name);
  const { config, output } = session;
  const redis = await session.redis();
  const queue = brandQueue(name, config);
  const { movedTo } = await readLineage(redis, queue);
  if (movedTo !== undefined) {
    await redis.del(keysOf.reconciler(queue));
    await redis.del(keysOf.lineage(queue));
    await noteBrand(redis, config, name);
  }
  const outcome = movedTo === undefined ? 'not-moved' : 'reopened';
  await noteAction(session, 'brand.reopen', name, outcome);
  output.result({ brand: name, outcome }, () =>
    output.line(
      outcome === 'reopened'
        ? `Reopened: ${name} is a brand of its own again. Make sure that no process with its old key runs any more.`
        : `${name} was not moved to another brand.`,
    ),
  );
  return outcome === 'reopened' ? exitCodes.done : exitCodes.no;
}
