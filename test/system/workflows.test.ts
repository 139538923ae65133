// Checks the workflows for mistakes with actionlint, and for vulnerabilities with zizmor.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { installGoProgram, installPythonProgram } from '../support/outside-programs.ts';

const actionlint = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12';
const zizmor = 'zizmor==1.32.0';
const root = path.resolve(import.meta.dirname, '../..');

function look(program: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('actionlint finds nothing in the workflows', { timeout: 300_000 }, async (context) => {
  const program = await installGoProgram(actionlint);
  if (program === undefined) return context.skip(`there is no Go that can build ${actionlint}`);
  expect(look(program, ['-shellcheck=', '-pyflakes='])).toMatchObject({ status: 0, stdout: '' });
});

test('zizmor finds nothing in the workflows', { timeout: 300_000 }, async (context) => {
  const program = await installPythonProgram(zizmor);
  if (program === undefined) return context.skip(`there is no Python 3 with pip that can install ${zizmor}`);
  const args = ['--offline', '--no-progress', '--persona', 'pedantic', '--format', 'plain', '.github/workflows'];
  expect(look(program, args)).toMatchObject({ status: 0, stdout: expect.stringContaining('No findings to report') });
});
