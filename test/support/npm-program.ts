// One of npm's programs at a fixed version, for a test that looks at us with it, in a folder that knows nothing of ours.
import { spawnSync } from 'node:child_process';
import type { TestContext } from 'vitest';

const isNotToBeHad = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404/;

/** Skips the test, by name, where the program cannot be fetched. */
export function runNpmProgram(context: TestContext, dir: string, program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('npm', ['exec', '--yes', '--', program, ...args], {
    cwd: dir,
    encoding: 'utf8',
  });
  const output = stdout + stderr;
  if (status !== 0 && isNotToBeHad.test(output)) context.skip(`${program} cannot be fetched`);
  return { status, stdout, output };
}
