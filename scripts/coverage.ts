// `npm run coverage`: runs the tests of the callback path, and lists each line of it that no test ran.
//
// V8 counts in the processes of the tests and of the service. Node runs the sources directly, so line numbers are those of
// the files. `-- TEST...` runs only those tests. Lua scripts are not measured.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as z from 'zod';

const root = path.dirname(import.meta.dirname);
const rooms = ['receive', 'intake', 'store/accept', 'deliver', 'reconcile'];
const tests = process.argv.length > 2 ? process.argv.slice(2) : testsOfTheWay();

const range = z.object({ startOffset: z.number(), endOffset: z.number(), count: z.number() });
const reportSchema = z.array(z.object({ url: z.string(), functions: z.array(z.object({ ranges: z.array(range) })) }));

const dir = mkdtempSync(path.join(tmpdir(), 'payalo-coverage-'));
const passed = runTests();
print(ranIn(dir));
rmSync(dir, { recursive: true });
process.exit(passed ? 0 : 1);

function testsOfTheWay(): string[] {
  const folders = ['receive', 'intake', 'store', 'deliver', 'reconcile', 'callback'].map((name) => `test/${name}/`);
  return [...folders, 'test/roles', 'test/fuzz', 'test/telemetry/', 'test/deploy/'];
}

function runTests(): boolean {
  const preload = pathToFileURL(path.join(root, 'test', 'support', 'take-coverage.ts')).href;
  const vitest = path.join('node_modules', 'vitest', 'vitest.mjs');
  // Vite would transform the sources.
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--experimental.viteModuleRunner=false', ...tests], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: `--import ${preload}`, TEST_COVERAGE_DIR: dir },
  });
  return status === 0;
}

/** By file: for each character, whether any process ran it. */
function ranIn(folder: string): Map<string, Uint8Array> {
  const ran = new Map<string, Uint8Array>();
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.json'))) {
    for (const { url, functions } of reportSchema.parse(JSON.parse(readFileSync(path.join(folder, name), 'utf8')))) {
      const file = path.relative(root, fileURLToPath(url));
      if (!rooms.some((room) => file.startsWith(`src/${room}/`))) continue;
      const all = ran.get(file) ?? new Uint8Array(readFileSync(path.join(root, file), 'utf8').length);
      ran.set(file, all);
      const here = new Uint8Array(all.length);
      // Outer ranges come first; inner ones override them.
      for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges))
        here.fill(Math.min(count, 1), startOffset, endOffset);
      for (const [at, isRun] of here.entries()) if (isRun === 1) all[at] = 1;
    }
  }
  return ran;
}

function print(ran: ReadonlyMap<string, Uint8Array>): void {
  for (const room of rooms) {
    let lines = 0;
    const missing: string[] = [];
    for (const file of globSync(`src/${room}/**/*.ts`, { cwd: root }).toSorted()) {
      const text = readFileSync(path.join(root, file), 'utf8');
      if (!/^(?:export )?(?:async )?(?:const|function|class) /m.test(text)) continue; // only types
      for (const [number, line, isRun] of linesOf(text, ran.get(file))) {
        lines += 1;
        if (!isRun) missing.push(`${file}:${number}  ${line.trim()}`);
      }
    }
    const share = ((100 * (lines - missing.length)) / lines).toFixed(1);
    console.log(`\n${room}: ${lines - missing.length} of ${lines} lines (${share} %)`);
    for (const line of missing) console.log(`  ${line}`);
  }
}

/** Lines of code; a bracket alone does not count. A line has run if any of its characters has. */
function* linesOf(text: string, ran: Uint8Array | undefined): Generator<[number, string, boolean]> {
  let at = 0;
  let isComment = false;
  for (const [index, line] of text.split('\n').entries()) {
    const start = at;
    at += line.length + 1;
    const trimmed = line.trim();
    if (trimmed.startsWith('/*')) isComment = true;
    const isCode = !isComment && !trimmed.startsWith('//') && /\w/.test(trimmed);
    if (trimmed.endsWith('*/')) isComment = false;
    if (!isCode) continue;
    const indent = line.length - line.trimStart().length;
    const isRun = ran?.subarray(start + indent, start + line.length).includes(1) ?? false;
    yield [index + 1, line, isRun];
  }
}
