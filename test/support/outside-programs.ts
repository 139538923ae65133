// Third-party programs, each at a fixed version, that check this project: from npm, from PyPI, or built by Go. They are
// installed in a temporary folder, never among the dependencies. If one is unavailable, its test is skipped by name.
// renovate.json finds the versions by their form, 'name@1.2.3' or 'name==1.2.3'.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { TestContext } from 'vitest';
import { makeTempDir } from './temp-dir.ts';

const isNotToBeHad = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404/;
const works = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) =>
  spawnSync(program, args, { env, stdio: 'ignore' }).status === 0;

/** Runs `name@1.2.3` from npm; skips the test if it cannot be fetched. */
export async function runNpmProgram(context: TestContext, program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('npm', ['exec', '--yes', '--', program, ...args], {
    cwd: await makeTempDir('npm-program'), // outside the checkout
    encoding: 'utf8',
  });
  const output = stdout + stderr;
  if (status !== 0 && isNotToBeHad.test(output)) context.skip(`${program} cannot be fetched`);
  return { status, stdout, output };
}

/** The path of the program of `name==1.2.3` from PyPI, in its own virtual environment; undefined if unavailable. */
export async function installPythonProgram(requirement: string): Promise<string | undefined> {
  if (!works('python3', ['-m', 'pip', '--version']) || !works('python3', ['-c', 'import venv, ensurepip'])) return;
  const dir = await makeTempDir('python-program');
  const [name = ''] = requirement.split('==');
  if (!works('python3', ['-m', 'venv', dir])) return;
  if (!works(path.join(dir, 'bin', 'pip'), ['install', '--quiet', requirement])) return;
  return path.join(dir, 'bin', name);
}

/** The path of the program of `module/path@v1.2.3`, built by Go; undefined if that fails. */
export async function installGoProgram(program: string): Promise<string | undefined> {
  const dir = await makeTempDir('go-program');
  if (!works('go', ['install', program], { ...process.env, GOBIN: dir })) return;
  return path.join(dir, path.posix.basename(program.split('@')[0] ?? ''));
}
