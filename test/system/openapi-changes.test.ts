// The operator API has no breaking change between releases: oasdiff, built from the Go module proxy, compares its document with that of
// the last release.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, expect, test, type TestContext } from 'vitest';
import { makeTempDir } from '../support/temp-dir.ts';

const program = 'github.com/oasdiff/oasdiff@v1.37.0';
const root = path.resolve(import.meta.dirname, '../..');
const document = 'docs/reference/openapi.json';
const current = readFileSync(path.join(root, document), 'utf8');

let dir: string;
let oasdiff: string | undefined;

beforeAll(async () => {
  dir = await makeTempDir('oasdiff');
  const built = spawnSync('go', ['install', program], { env: { ...process.env, GOBIN: dir }, stdio: 'ignore' });
  if (built.status === 0) oasdiff = path.join(dir, 'oasdiff');
}, 600_000);

/** What of `before` no longer holds; exit 1 where something does not. */
async function breaking(context: TestContext, before: string, after: string) {
  if (oasdiff === undefined) return context.skip(`there is no Go that can build ${program}`);
  const files = [path.join(dir, 'before.json'), path.join(dir, 'after.json')] as const;
  await writeFile(files[0], before);
  await writeFile(files[1], after);
  const { status, stdout } = spawnSync(oasdiff, ['breaking', ...files, '--fail-on', 'ERR'], { encoding: 'utf8' });
  return { status, stdout };
}

function git(...args: string[]): string {
  return spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim();
}

test('does not break the last release’s API', async (context) => {
  const [release] = git('tag', '--list', 'v*', '--sort=-version:refname').split('\n');
  if (release === undefined || release === '') return context.skip('nothing was released yet');
  expect(await breaking(context, git('show', `${release}:${document}`), current)).toMatchObject({ status: 0 });
});

test('a removed call, a new required parameter and a missing field are detected', async (context) => {
  expect(await breaking(context, current, current)).toMatchObject({ status: 0 });
  for (const [before, after, said] of [
    ['"/v1/replays"', '"/v1/replay"', 'POST /v1/replays'],
    ['"held",', '', 'enum'],
    ['"heldReason": {', '"reasonHeld": {', 'heldReason'],
  ] as const) {
    expect(current).toContain(before);
    const found = await breaking(context, current, current.replaceAll(before, after));
    expect(found).toMatchObject({ status: 1, stdout: expect.stringContaining(said) });
  }
});
