// `npm run test:promises -- --minutes 10 --seed N`: tests the promises under random faults, for as long as you like.
//
// Without `--minutes` it causes each fault once. `--replica` adds a replica that must confirm each callback, `--confirm MODE` sets
// CONFIRM and forges every tenth callback; `--only TEXT` limits the
// faults to those whose names contain the text, `--redis-server PATH` names another server (Valkey, say). `--model` drives
// the code with random commands and compares it with a model instead, `--power-loss 300` cuts the power 300 times,
// `--upgrade-from COMMIT` upgrades from that commit and back (`--one-way`: not back). Prints what it
// does, then the figures, and the run's row for the ledger in docs/reliability.md; exits with 1 if a promise was broken. The seed determines
// the sequence of faults; by default it is random, and printed.
import { parseArgs } from 'node:util';
import { violations, type Report } from '../test/promises/auditor.ts';
import { commitHere, ledgerHead, ledgerRow } from '../test/promises/ledger.ts';
import { runModel } from '../test/promises/model/run-model.ts';
import { buildDiskLog } from '../test/promises/power/disk-log.ts';
import { runPowerLoss } from '../test/promises/power/power-loss.ts';
import { runPromises, type PromisesResult } from '../test/promises/run-promises.ts';
import { runUpgrade } from '../test/promises/upgrade.ts';
import { setup } from '../test/support/global-setup.ts';
import { makeTempDir } from '../test/support/temp-dir.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    rate: { type: 'string', default: '50' },
    replica: { type: 'boolean', default: false },
    confirm: { type: 'string' },
    only: { type: 'string' },
    model: { type: 'boolean', default: false },
    'power-loss': { type: 'string' },
    'upgrade-from': { type: 'string' },
    'one-way': { type: 'boolean', default: false },
    'redis-server': { type: 'string' },
  },
});
const seed = toNumber('seed', values.seed);
const perSecond = toNumber('rate', values.rate);
const confirm = toMode(values.confirm);
const minutes = values.minutes === undefined ? undefined : toNumber('minutes', values.minutes);

const startedAt = performance.now();
await setup();
if (values['redis-server'] !== undefined) {
  process.env['TEST_REDIS_SERVER'] = JSON.stringify({ command: values['redis-server'], env: {} });
}
process.exit((await chosen()()) ? 0 : 1);

function chosen(): () => Promise<boolean> {
  if (values.model) return model;
  if (values['upgrade-from'] !== undefined) return upgrade;
  return values['power-loss'] === undefined ? faults : powerLoss;
}

async function powerLoss(): Promise<boolean> {
  const library = buildDiskLog(await makeTempDir('disk-log'));
  if (library === undefined)
    throw new Error('power loss can only be tested on Linux with a C compiler (cc) on the PATH');
  const cuts = toNumber('power-loss', values['power-loss'] ?? '');
  console.log(`seed ${seed}, ${cuts} cuts`);
  const { report, trails, ...figures } = await runPowerLoss({ cuts, seed, library, say });
  for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(16)} ${value}`);
  for (const trail of trails) console.log(trail);
  return printReport(report);
}

async function upgrade(): Promise<boolean> {
  const from = values['upgrade-from'] ?? '';
  const { report, violations: broken } = await runUpgrade({ from, perSecond, back: !values['one-way'], say });
  return printReport(report, broken);
}

async function model(): Promise<boolean> {
  const seconds = (minutes ?? 1) * 60;
  console.log(`seed ${seed}, random commands beside the model for ${seconds} s`);
  const { sequences, commands, failure } = await runModel({ seed, seconds });
  console.log(`${sequences} sequences, ${commands} commands`);
  console.log(failure ?? 'the product did as the model says');
  return failure === undefined;
}

async function faults(): Promise<boolean> {
  const length = minutes === undefined ? 'each fault once' : `${minutes} minutes`;
  console.log(`seed ${seed}, ${perSecond} callbacks a second, ${length}`);
  const { replica, only } = values;
  const commit = commitHere(); // as it was when the run began
  const result = await runPromises({ seed, minutes, perSecond, replica, confirm, only, say });
  print(result);
  const day = new Date().toISOString().slice(0, 10);
  const struck = [...result.faults.values()].reduce((sum, count) => sum + count, 0);
  const run = { ...result, day, commit, confirm, replica, minutes, perSecond, faults: struck };
  console.log(`\n${ledgerHead}\n${ledgerRow(run)}`);
  return result.violations.length === 0;
}

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
}

function print({ faults, skipped, report, violations: broken }: PromisesResult): void {
  for (const [name, count] of faults) console.log(`${String(count).padStart(5)} x ${name}`);
  for (const name of skipped) console.log(`skipped: ${name}`);
  printReport(report, broken);
}

function printReport(report: Report, broken: readonly string[] = violations(report)): boolean {
  for (const [name, value] of Object.entries(report)) {
    console.log(`${name.padEnd(16)} ${Array.isArray(value) ? value.length : String(value)}`);
  }
  console.log(broken.length === 0 ? 'every promise was kept' : `BROKEN:\n${broken.join('\n')}`);
  return broken.length === 0;
}

function toMode(text: string | undefined): 'after' | 'before' | undefined {
  if (text === undefined || text === 'after' || text === 'before') return text;
  console.error(`--confirm must be after or before, not ${JSON.stringify(text)}`);
  process.exit(2);
}

function toNumber(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) {
    console.error(`--${name} must be a number, not ${JSON.stringify(text)}`);
    process.exit(2);
  }
  return number;
}
