// Tests that depend on how the server treats writes, replicas and scripts also run against a current Valkey: the same files
// that `npm test` runs against the distribution's Redis.
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ensureValkey, hasPip } from '../support/valkey.ts';

const root = path.resolve(import.meta.dirname, '../..');
const files = ['test/redis/confirmed-call.test.ts', 'test/store/accept-batch.test.ts', 'test/intake/replicas.test.ts'];
/** PyPI's program has no TLS, so of these the tests of a lost primary; docs/deployment.md says what else was run. */
const failovers = [
  'test/system/sentinel.test.ts',
  'test/system/cluster.test.ts',
  '--mode',
  'system',
  '-t',
  'killed under load',
];

test('the tests of the accept script and of confirmation by replicas pass against a current Valkey', async (context) => {
  context.skip(!hasPip, 'there is no Python 3 with pip');
  const program = ensureValkey();
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  expect(stdout).toMatch(/^Valkey server v=9\./);
  expect(await runTests(path.dirname(program), files)).toMatchObject({ status: 0 }); // a failure shows the output
}, 600_000);

test('a killed primary costs no acknowledged callback behind Sentinel and in a Cluster of a current Valkey', async (context) => {
  context.skip(!hasPip, 'there is no Python 3 with pip');
  const ran = await runTests(path.dirname(ensureValkey()), failovers);
  expect(ran).toMatchObject({ status: 0, output: expect.stringMatching(/Tests +2 passed/) });
}, 600_000);

/** The global set-up takes the first valkey-server on the PATH. */
async function runTests(folder: string, args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const ours = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('VITEST') && name !== 'TEST_REDIS_SERVER',
  );
  const env = {
    ...Object.fromEntries(ours),
    NO_COLOR: '1',
    FORCE_COLOR: '0',
    PATH: `${folder}${path.delimiter}${process.env['PATH'] ?? ''}`,
  };
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', ...args], { cwd: root, env });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, output };
}
