// `npm run test:promises -- --minutes 10 --seed N`: the promises under faults at random, for as long as one likes.
//
// Without `--minutes` each fault once. `--replica` adds a replica that must confirm each callback, `--only TEXT` limits the
// faults to those whose names contain the text, `--redis-server PATH` names another server (Valkey, say). `--model` drives
// the code with random commands beside a model instead. Prints what it does, then the figures of docs/reliability.md;
// exits with 1 where a promise was broken. The seed decides what comes; without one it is drawn, and printed.
import { parseArgs } from 'node:util';
import { runModel } from '../test/promises/model/run-model.ts';
import { runPromises, type PromisesResult } from '../test/promises/run-promises.ts';
import { setup } from '../test/support/global-setup.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    rate: { type: 'string', default: '50' },
    replica: { type: 'boolean', default: false },
    only: { type: 'string' },
    model: { type: 'boolean', default: false },
    'redis-server': { type: 'string' },
  },
});
const seed = toNumber('seed', values.seed);
const perSecond = toNumber('rate', values.rate);
const minutes = values.minutes === undefined ? undefined : toNumber('minutes', values.minutes);

await setup();
if (values['redis-server'] !== undefined) {
  process.env['TEST_REDIS_SERVER'] = JSON.stringify({ command: values['redis-server'], env: {} });
}
process.exit((await (values.model ? model() : faults())) ? 0 : 1);

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
  const startedAt = performance.now();
  const say = (text: string) =>
    console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  const result = await runPromises({ seed, minutes, perSecond, replica: values.replica, only: values.only, say });
  print(result);
  return result.violations.length === 0;
}

function print({ faults, skipped, report, violations }: PromisesResult): void {
  for (const [name, count] of faults) console.log(`${String(count).padStart(5)} x ${name}`);
  for (const name of skipped) console.log(`skipped: ${name}`);
  for (const [name, value] of Object.entries(report)) {
    console.log(`${name.padEnd(16)} ${Array.isArray(value) ? value.length : String(value)}`);
  }
  console.log(violations.length === 0 ? 'every promise was kept' : `BROKEN:\n${violations.join('\n')}`);
}

function toNumber(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) {
    console.error(`--${name} must be a number, not ${JSON.stringify(text)}`);
    process.exit(2);
  }
  return number;
}
