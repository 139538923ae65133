// When a run of tests says that something is wrong, and when it only says that the time ran out.
import { expect, test } from 'vitest';
import { sayTimeoutsOnly } from '../../scripts/copied-sources.ts';

const late = ` FAIL  |service| test/a.test.ts > waits
TestTimeoutError: Test timed out in 100ms.
If this is a long-running test, pass a timeout value`;
const hook = ` FAIL  |service| test/a.test.ts > starts
HookTimeoutError: Hook timed out in 100ms.`;
const inVain = ` FAIL  |service| test/a.test.ts > waits for a condition
Error: Waited 50 ms in vain for () => false`;
const wrong = ` FAIL  |service| test/a.test.ts > adds 1
 FAIL  |service| test/a.test.ts > adds 2
AssertionError: expected 1 to be 2 // Object.is equality`;
const unhandled = `⎯⎯⎯⎯⎯⎯ Unhandled Errors ⎯⎯⎯⎯⎯⎯
Error: Waited 50 ms in vain for () => false`;

test.for([
  [[late], true],
  [[hook], true],
  [[inVain], true],
  [[late, hook, inVain], true],
  [[wrong], false],
  [[late, wrong, inVain], false],
  [[late, unhandled], false],
  [['the worker exited unexpectedly'], false],
] as const)('whether %j is only a timeout: %s', ([failures, isOnly]) => {
  expect(sayTimeoutsOnly(`\n RUN  v5\n\n${failures.join('\n\n')}\n\n Test Files  1 failed (1)\n`)).toBe(isOnly);
});
