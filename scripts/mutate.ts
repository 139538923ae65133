// `npm run test:mutation`: mutation testing: applies one mutation after the other to a copy of the sources (scripts/mutations.ts),
// and runs that file's tests. A test must fail for each mutation, unless test/promises/mutated-files.ts explains why it is
// harmless. `-- TEXT ...` tries only mutations whose place, such as `src/callback/decimal.ts:41`, contains one of the texts;
// `-- --at-once 4` runs four in parallel.
//
// First the same tests must pass without a mutation. A timeout alone proves nothing, because the machine may be busy. So
// such a mutation is tried again alone; if it times out again, it counts as caught and is listed as a hang.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { mutatedFiles, type MutatedFile } from '../test/promises/mutated-files.ts';
import { copySources, runTests } from './copied-sources.ts';
import { mutantsOf, type Mutant } from './mutations.ts';

interface Trial extends MutatedFile {
  readonly mutant: Mutant;
}

const hangingMs = 300_000;
/** Stops a stage at the first failing test. */
const quickly = ['--bail=1', '--no-isolate'];
const { values, positionals } = parseArgs({
  options: { 'at-once': { type: 'string', default: '2' } },
  allowPositionals: true,
});
const only = positionals.length > 0 ? positionals : [''];
const atOnce = Number(values['at-once']);
if (!(atOnce >= 1)) fail('--at-once must be a number from 1');
const trials = mutatedFiles
  .flatMap(trialsOf)
  .filter(({ file, mutant }) => only.some((text) => `${file}:${mutant.line}`.includes(text)));
const chosen = mutatedFiles.filter(({ file }) => trials.some((trial) => trial.file === file));
const survivors: Trial[] = [];
/** Mutations whose only failures were timeouts. */
const timedOut: Trial[] = [];
const hanging: Trial[] = [];
const dirs = Array.from({ length: atOnce }, copySources);

const tests = [...new Set(chosen.flatMap((each) => each.tests.flat()))];
const clean = await runTests(dirs[0] ?? '', tests);
if (!clean.passed) fail(`the tests fail without a mistake:\n${clean.output}`);
const waiting = trials.values();
let begun = 0;
await Promise.all(dirs.map(tryAll));
if (timedOut.length > 0) say(`${timedOut.length} once more, alone: a test's time ran out`);
for (const trial of timedOut) await tryAgain(trial);

for (const { file, harmless } of chosen) {
  const made = trials.filter((trial) => trial.file === file);
  const survived = survivors.filter((trial) => trial.file === file);
  const changes = new Set(survived.map(({ mutant }) => mutant.change));
  const unexplained = survived.filter(({ mutant }) => harmless[mutant.change] === undefined).length;
  const hung = hanging.filter((trial) => trial.file === file).length;
  const noticed = `${made.length - survived.length} noticed${hung > 0 ? ` (${hung} by hanging)` : ''}`;
  say(`${file}: ${made.length} made, ${noticed}, ${survived.length - unexplained} harmless, ${unexplained} missed`);
  const tried = new Set(made.map(({ mutant }) => mutant.change));
  for (const change of Object.keys(harmless))
    if (tried.has(change) && !changes.has(change)) say(`  not harmless: ${change}`);
}
const missed = survivors.filter(({ harmless, mutant }) => harmless[mutant.change] === undefined);
if (missed.length > 0) fail(`${missed.length} of ${trials.length} mistakes were not noticed`);

function trialsOf(mutated: MutatedFile): Trial[] {
  const text = readFileSync(path.join(import.meta.dirname, '..', mutated.file), 'utf8');
  return mutantsOf(text, mutated.file.endsWith('.lua') ? 'lua' : 'ts').map((mutant) => ({ ...mutated, mutant }));
}

/** The copies share the remaining mutations. */
async function tryAll(dir: string): Promise<void> {
  for (const trial of waiting) {
    begun += 1;
    if (begun % 50 === 0) say(`${begun} of ${trials.length}`);
    const outcome = await outcomeOf(dir, trial);
    if (outcome === 'timed-out') timedOut.push(trial);
    if (outcome === 'missed') addSurvivor(trial);
  }
}

async function tryAgain(trial: Trial): Promise<void> {
  const outcome = await outcomeOf(dirs[0] ?? '', trial);
  if (outcome === 'missed') addSurvivor(trial);
  if (outcome !== 'timed-out') return;
  hanging.push(trial);
  say(`HANGS   ${trial.file}:${trial.mutant.line}  ${trial.mutant.change}`);
}

function addSurvivor(trial: Trial): void {
  survivors.push(trial);
  const { file, mutant, harmless } = trial;
  if (harmless[mutant.change] === undefined) say(`MISSED  ${file}:${mutant.line}  ${mutant.change}`);
}

async function outcomeOf(dir: string, { file, tests: stages, mutant }: Trial) {
  const target = path.join(dir, file);
  const original = readFileSync(target, 'utf8');
  writeFileSync(target, mutant.text);
  let outcome: 'noticed' | 'timed-out' | 'missed' = 'missed';
  for (const stage of stages) {
    const { passed, hasTimedOut } = await runTests(dir, [...quickly, ...stage], hangingMs);
    if (passed) continue;
    outcome = hasTimedOut ? 'timed-out' : 'noticed';
    break;
  }
  writeFileSync(target, original);
  return outcome;
}

function say(text: string): void {
  console.log(text);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
