// `npm run test:planted`: plants one bug after the other into a copy of the sources, each of which breaks one promise, and
// runs the tests that hold that promise. Each bug must be caught. `-- TEXT` plants only those whose names contain the text.
//
// First the same tests must pass without a bug, so that a failure means the bug. The checkout itself is not touched.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { plantedBugs, type PlantedBug } from '../test/promises/planted-bugs.ts';

const root = path.dirname(import.meta.dirname);
const only = process.argv[2] ?? '';
const chosen = plantedBugs.filter(({ name }) => name.includes(only));
const dir = mkdtempSync(path.join(tmpdir(), 'payalo-planted-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));

copySources();
const tests = [...new Set(chosen.flatMap((bug) => bug.tests))];
say(`without a bug: ${tests.join(', ')}`);
const clean = run(tests);
if (!clean.passed) fail(`the tests fail without a bug:\n${clean.output}`);
const missed = chosen.filter((bug) => !isCaught(bug)).map(({ name }) => name);
if (missed.length > 0) fail(`not caught: ${missed.join(', ')}`);
say(`${chosen.length} of ${chosen.length} bugs were caught`);

function copySources(): void {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of files.trimEnd().split('\n')) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(dir, file));
  }
  for (const shared of ['node_modules', '.tools']) symlinkSync(path.join(root, shared), path.join(dir, shared));
}

function isCaught({ name, file, from, to, tests: holding }: PlantedBug): boolean {
  const target = path.join(dir, file);
  const text = readFileSync(target, 'utf8');
  if (text.split(from).length !== 2) fail(`${name}: ${file} does not hold once:\n${from}`);
  writeFileSync(
    target,
    text.replace(from, () => to),
  );
  const { passed, failures } = run(holding);
  writeFileSync(target, text);
  say(`${passed ? 'MISSED' : 'caught'}  ${name}${passed ? '' : `: ${failures}`}`);
  return !passed;
}

function run(files: readonly string[]) {
  const vitest = path.join('node_modules', 'vitest', 'vitest.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [vitest, 'run', ...files], {
    cwd: dir,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
    maxBuffer: 64 * 1_048_576,
  });
  const failures = new Set([...stdout.matchAll(/^ *[×x] (.*?)(?: \d+ms)?$/gm)].map(([, test = '']) => test));
  return { passed: status === 0, failures: [...failures].slice(0, 3).join('; '), output: stdout + stderr };
}

function say(text: string): void {
  console.log(text);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
