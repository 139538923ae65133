// `npm test` and `npm run test:system`: run the tests, and end with one line of totals.
//
// Arguments are file filters of vitest (or its flags). Skipped tests are listed. The exit code is 1 if a test failed,
// if vitest itself failed, or if a filter matched nothing.
import path from 'node:path';
import { parseCLI, startVitest, type TestCase, type TestModule } from 'vitest/node';

const system = process.argv.includes('--system');
const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2).filter((arg) => arg !== '--system')]);
process.chdir(path.dirname(import.meta.dirname));
// For vitest's watch modes, use `npx vitest`.
const vitest = await startVitest('test', filter, {
  ...options,
  watch: false,
  run: true,
  passWithNoTests: system && filter.length === 0,
  mode: system ? 'system' : 'test',
  reporters: ['default'],
});

const modules = vitest.state.getTestModules();
const cases = modules.flatMap((module) => [...module.children.allTests()]);
const inState = (state: string) => cases.filter((test) => test.result().state === state);
const skipped = inState('skipped');
const brokenFiles = modules.filter((module) => module.state() === 'failed' && !hasFailedTest(module));
const failures = inState('failed').length + brokenFiles.length + vitest.state.getUnhandledErrors().length;
await vitest.close();

for (const test of skipped) console.log(`skipped: ${nameOf(test)}${reasonOf(test)}`);
console.log(
  `${inState('passed').length} passed, ${failures} failed${skipped.length === 0 ? '' : `, ${skipped.length} skipped`}`,
);
process.exitCode = failures > 0 || Number(process.exitCode ?? 0) !== 0 ? 1 : 0;

/** A file that could not even be loaded counts as one failure. */
function hasFailedTest(module: TestModule): boolean {
  return [...module.children.allTests('failed')].length > 0;
}

function nameOf(test: TestCase): string {
  return `${path.relative(process.cwd(), test.module.moduleId)}: ${test.fullName}`;
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return result.state === 'skipped' && result.note !== undefined ? ` (${result.note})` : '';
}
