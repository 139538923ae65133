// `brand`: a brand's callbacks under another name, and names that nobody serves any more.
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
A start is refused while Redis holds callbacks of a brand that is not configured. \`move\` takes everything (queue, memory,
quarantine, expectations) to another name; webhook-ids stay, and sweeps deliver nothing again. It may be killed and run
again at any time, and processes may go on receiving meanwhile.

Examples:
  payalo-receiver brand list
  payalo-receiver brand move default acme
  payalo-receiver brand retire acme
  payalo-receiver brand reopen default

Exit codes: 0 done, 1 something is left (run it again) or there is nothing of that brand, 2 wrong usage.`;

export function addBrand(program: Command): void {
  const brand = program
    .command('brand')
    .description("a brand's callbacks under another name")
    .addHelpText('after', examples);

  brand
    .command('list', { isDefault: true })
    .description('the brands that Redis holds anything of')
    .action(inSession(list));

  brand
    .command('move')
    .description("take a brand's queue, memory and quarantine to another name")
    .argument('<from>', 'the name until now')
    .argument('<to>', 'the name from now on')
    .action(inSession(move));

  brand
    .command('retire')
    .description('let no start mind that nobody serves this brand any more')
    .argument('<brand>')
    .action(inSession(retire));

  brand
    .command('reopen')
    .description('use the name of a brand that was moved away for another merchant')
    .argument('<brand>')
    .action(inSession(reopen));
}

function requireBrandName(text: string): void {
  if (!isBrandName(text)) throw new CommandError('usage', `${printable(text)} can be no brand: a-z, 0-9 and - only`);
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
        'Fewer replicas than REDIS_WAIT_REPLICAS have what was copied, so it was not removed. Run this again.',
      );
    },
    handIn: async (entry) => {
      if ((await intake.resubmit([entry])) !== 'stored')
        throw new CommandError('unavailable', 'Redis does not take a callback.');
    },
    merchantTtlMs: Math.max(...retained),
    rememberedMs: rememberedMs(config),
    claimTtlMs: config.DEDUP_TTL,
    patienceMs: config.FORWARD_TIMEOUT + patienceMarginMs,
    onProgress: ({ jobs, claims }) => output.progress(jobs, jobs, `callbacks moved, ${claims} remembered`),
  });
  await noteAction(session, 'brand.move', `${from} ${to}`, result.kind);
  output.result({ from, to, ...result }, () => output.line(tell(result, from, to)));
  if (!config.brands.has(to))
    output.complain(`The brand ${to} is not configured here: nothing delivers its callbacks yet.`);
  return result.kind === 'moved' ? exitCodes.done : exitCodes.no;
}

const patienceMarginMs = 5_000;
const dayMs = 86_400_000;

/** Nothing of the old name can be asked for any longer. */
function rememberedMs({ RETAIN_COMPLETED, RETAIN_FAILED, DEDUP_TTL, QUARANTINE_RETAIN }: Config): number {
  return Math.max(RETAIN_COMPLETED, RETAIN_FAILED, DEDUP_TTL, QUARANTINE_RETAIN) + dayMs;
}

function tell(result: MoveResult, from: string, to: string): string {
  switch (result.kind) {
    case 'moved':
    case 'left': {
      const { jobs, claims, quarantined } = result.moved;
      const paused = result.paused ? ` Deliveries of ${to} are paused, as those of ${from} were.` : '';
      const done = `Moved from ${from} to ${to}: ${jobs} callbacks, ${claims} remembered, ${quarantined} in quarantine.${paused}`;
      if (result.kind === 'moved') return `${done} Nothing is left of ${from}.`;
      return (
        `${done} Left: ${describeHoldings(result.left)}. They are being delivered, or a process still serves ${from}: ` +
        'stop it or give it the new configuration, and run this again.'
      );
    }
    case 'nothing':
      return `There is nothing of a brand ${from} here.`;
    case 'busy':
      return `Another \`brand move\` of ${from} runs. Wait for its end.`;
    case 'target-moved':
      return `Not moved: ${to} was itself moved to ${result.to}. Move ${from} to ${result.to}, or reopen ${to} first.`;
  }
}

async function retire(session: Session, name: string): Promise<ExitCode> {
  requireBrandName(name);
  const { config, output } = session;
  if (config.brands.has(name)) throw new CommandError('usage', `The brand ${name} is configured; take it out first.`);
  const redis = await session.redis();
  const holdings = await readHoldings(redis, brandQueue(name, config), config.DEDUP_TTL);
  const outcome = holdings.undelivered > 0 ? 'undelivered' : 'retired';
  if (outcome === 'retired') await retireBrand(redis, config, name);
  await noteAction(session, 'brand.retire', name, outcome);
  output.result({ brand: name, outcome, ...holdings }, () =>
    output.line(
      outcome === 'retired'
        ? `Retired: no start minds ${name} any more. What it holds (${describeHoldings(holdings)}) stays.`
        : `Not retired: ${holdings.undelivered} callbacks of ${name} are not delivered. Deliver or move them first.`,
    ),
  );
  return outcome === 'retired' ? exitCodes.done : exitCodes.no;
}

/** What still comes for the name is that of another merchant from now on. */
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
