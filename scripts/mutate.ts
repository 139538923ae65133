// `npm run test:mutation`: makes one small mistake after the other in a copy of the sources (scripts/mutations.ts), and runs
// the tests that hold that file. Each mistake must be noticed, or test/promises/mutated-files.ts says why it is harmless.
// `-- TEXT` tries only those whose place, `src/callback/decimal.ts:41`, contains the text.
//
// First the same tests must pass without a mistake. What makes a test hang is noticed, too.
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { mutatedFiles, type MutatedFile } from '../test/promises/mutated-files.ts';
import { copySources, runTests } from './copied-sources.ts';
import { mutantsOf, type Mutant } from './mutations.ts';

interface Trial extends MutatedFile {
  readonly mutant: Mutant;
}

const hangingMs = 300_000;
/** The first test that fails ends a stage. */
const quickly = ['--bail=1', '--no-isolate'];
const only = process.argv[2] ?? '';
const trials = mutatedFiles.flatMap(trialsOf).filter(({ file, mutant }) => `${file}:${mutant.line}`.includes(only));
const chosen = mutatedFiles.filter(({ file }) => trials.some((trial) => trial.file === file));
const survivors: Trial[] = [];
/** More at a time than there are processors: some tests wait most of the time. */
const dirs = Array.from({ length: 2 * availableParallelism() }, copySources);

const tests = [...new Set(chosen.flatMap((each) => each.tests.flat()))];
const clean = await runTests(dirs[0] ?? '', tests);
if (!clean.passed) fail(`the tests fail without a mistake:\n${clean.output}`);
const waiting = trials.values();
let begun = 0;
await Promise.all(dirs.map(tryAll));

for (const { file, harmless } of chosen) {
  const made = trials.filter((trial) => trial.file === file);
  const survived = survivors.filter((trial) => trial.file === file);
  const changes = new Set(survived.map(({ mutant }) => mutant.change));
  const unexplained = survived.filter(({ mutant }) => harmless[mutant.change] === undefined).length;
  say(
    `${file}: ${made.length} made, ${made.length - survived.length} noticed, ${survived.length - unexplained} harmless, ${unexplained} missed`,
  );
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

/** The copies share what is left to try. */
async function tryAll(dir: string): Promise<void> {
  for (const trial of waiting) {
    begun += 1;
    if (begun % 50 === 0) say(`${begun} of ${trials.length}`);
    if (await isNoticed(dir, trial)) continue;
    survivors.push(trial);
    const { file, mutant, harmless } = trial;
    if (harmless[mutant.change] === undefined) say(`MISSED  ${file}:${mutant.line}  ${mutant.change}`);
  }
}

async function isNoticed(dir: string, { file, tests: stages, mutant }: Trial): Promise<boolean> {
  const target = path.join(dir, file);
  const original = readFileSync(target, 'utf8');
  writeFileSync(target, mutant.text);
  let isPassed = true;
  for (const stage of stages) {
    isPassed &&= (await runTests(dir, [...quickly, ...stage], hangingMs)).passed;
  }
  writeFileSync(target, original);
  return !isPassed;
}

function say(text: string): void {
  console.log(text);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
