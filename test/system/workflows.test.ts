// The workflows as actionlint reads them, built from the Go module proxy.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeTempDir } from '../support/temp-dir.ts';

const program = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12';

test('actionlint finds nothing in the workflows', { timeout: 300_000 }, async (context) => {
  const dir = await makeTempDir('actionlint');
  const built = spawnSync('go', ['install', program], { env: { ...process.env, GOBIN: dir }, encoding: 'utf8' });
  if (built.status !== 0) return context.skip(`there is no Go that can build ${program}`);
  const { status, stdout } = spawnSync(path.join(dir, 'actionlint'), ['-shellcheck=', '-pyflakes='], {
    cwd: path.resolve(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
});
