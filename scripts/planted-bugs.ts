// `npm run test:planted`: plants one bug after the other in a copy of the sources, each of which breaks one promise, and
// runs the tests of that promise. A test must catch each bug. `-- TEXT` plants only those whose names contain the text.
//
// First the same tests must pass without the bug, so that a failure proves that they caught it.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { plantedBugs, type PlantedBug } from '../test/promises/planted-bugs.ts';
import { copySources, runTests } from './copied-sources.ts';

const only = process.argv[2] ?? '';
const chosen = plantedBugs.filter(({ name }) => name.includes(only));
const dir = copySources();
const tests = [...new Set(chosen.flatMap((bug) => bug.tests))];
say(`without a bug: ${tests.join(', ')}`);
const clean = await runTests(dir, tests);
if (!clean.passed) fail(`the tests fail without a bug:\n${clean.output}`);
const missed: string[] = [];
for (const bug of chosen) if (!(await isCaught(bug))) missed.push(bug.name);
if (missed.length > 0) fail(`not caught: ${missed.join(', ')}`);
say(`${chosen.length} of ${chosen.length} bugs were caught`);

async function isCaught({ name, file, from, to, tests: holding }: PlantedBug): Promise<boolean> {
  const target = path.join(dir, file);
  const text = readFileSync(target, 'utf8');
  if (text.split(from).length !== 2) fail(`${name}: ${file} does not hold once:\n${from}`);
  writeFileSync(
    target,
    text.replace(from, () => to),
  );
  const { passed, failures } = await runTests(dir, holding);
  writeFileSync(target, text);
  say(`${passed ? 'MISSED' : 'caught'}  ${name}${passed ? '' : `: ${failures}`}`);
  return !passed;
}

function say(text: string): void {
  console.log(text);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
