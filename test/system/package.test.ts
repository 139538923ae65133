// The npm package: publint and are-the-types-wrong check the output of `npm pack`.
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { runNpmProgram } from '../support/outside-programs.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const root = path.resolve(import.meta.dirname, '../..');
let dir: string;
let tarball: string;

beforeAll(async () => {
  dir = await makeTempDir('package');
  const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: root, encoding: 'utf8' });
  if (packed.status !== 0) throw new Error(`npm pack failed: ${packed.stdout}${packed.stderr}`);
  tarball = path.join(dir, readdirSync(dir).find((name) => name.endsWith('.tgz')) ?? '');
}, 120_000);

test('publint finds nothing', { timeout: 120_000 }, async (context) => {
  const { status, output } = await runNpmProgram(context, 'publint@0.3.25', ['run', tarball, '--strict']);
  expect({ status, output }).toMatchObject({ status: 0, output: expect.stringContaining('All good!') });
});

test('its types are found, and match the code that runs', { timeout: 120_000 }, async (context) => {
  const { status, output } = await runNpmProgram(context, '@arethetypeswrong/cli@0.18.5', [
    tarball,
    '--profile',
    'esm-only',
    '--format',
    'json',
  ]);
  const { problems, analysis } = z
    .object({
      problems: z.unknown().optional(),
      analysis: z.object({ entrypoints: z.record(z.string(), z.unknown()), problems: z.array(z.looseObject({})) }),
    })
    .parse(JSON.parse(output.slice(output.indexOf('{'))));
  expect(Object.keys(analysis.entrypoints)).toEqual(['.', './inbox', './job.schema.json', './package.json']);
  expect({ status, problems }).toMatchObject({ status: 0 });
});

test('compiled files keep the positions of their sources, for stack traces', () => {
  const lengthsOf = (file: string) =>
    readFileSync(path.join(root, file), 'utf8')
      .split('\n')
      .map((line) => line.length);
  const sources = globSync('{src,simulator}/**/*.ts', { cwd: root });
  const moved = sources.filter(
    (file) => !isDeepStrictEqual(lengthsOf(path.join('dist', file.replace(/ts$/, 'js'))), lengthsOf(file)),
  );
  expect({ moved, found: sources.length > 300 }).toEqual({ moved: [], found: true });
});

test('package.json names its origin, and nothing that is not in the package', () => {
  const manifest = z
    .object({
      repository: z.object({ url: z.string().startsWith('git+https://') }),
      homepage: z.url(),
      bugs: z.object({ url: z.url() }),
      author: z.string().min(1),
      keywords: z.array(z.string()).min(5),
      license: z.literal('MIT'),
    })
    .parse(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')));
  const { stdout } = spawnSync('tar', ['-tzf', tarball], { encoding: 'utf8' });
  for (const file of ['dist/src/cli.js', 'dist/src/inbox/inbox.d.ts', 'dist/src/callback/job.schema.json', 'LICENSE'])
    expect(stdout).toContain(`package/${file}\n`);
  expect(stdout).not.toMatch(/package\/(test|src|simulator)\//);
  expect(manifest.homepage).toContain(new URL(manifest.repository.url.slice(4)).pathname.replace(/\.git$/, ''));
});
