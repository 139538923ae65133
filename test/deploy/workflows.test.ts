// The GitHub workflows cannot run here. This checks that actions are pinned, that jobs have only the permissions they need,
// and that commands exist in this project.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(root, '.github', 'workflows');
const read = (file: string) => readFileSync(path.join(folder, file), 'utf8');
const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')));

const workflowSchema = z.object({
  permissions: z.record(z.string(), z.string()),
  jobs: z.record(
    z.string(),
    z.object({
      'timeout-minutes': z.int(),
      permissions: z.record(z.string(), z.string()).optional(),
      strategy: z.object({ matrix: z.looseObject({}) }).optional(),
      steps: z.array(z.object({ uses: z.string().optional(), run: z.string().optional() })),
    }),
  ),
});
const workflowOf = (file: string) => workflowSchema.parse(parse(read(file)));
const stepsOf = (file: string) => Object.values(workflowOf(file).jobs).flatMap(({ steps }) => steps);

/** The runner's own programs. */
const otherCommands = /^(mkdir|echo|docker cp|ln -s|"\$RUNNER_TEMP\/server\/\$SERVER"|cosign sign) /;

function isKnown(line: string): boolean {
  // Scripts of this project must run through npm, which installs the packages that they need.
  const npm = /^npm (?:run ([\w:]+)|(test))(?: -- .+)?$/.exec(line);
  if (npm !== null) return scripts[npm[1] ?? npm[2] ?? ''] !== undefined;
  return /^npm (ci|publish --provenance --access public)$/.test(line) || otherCommands.test(line);
}

test('a missing command, or one that may find no packages, is detected', () => {
  for (const line of [
    'npm run absent',
    'npm run check; rm -rf .',
    'node scripts/release-version.ts v1',
    'curl -s x | sh',
  ])
    expect([line, isKnown(line)]).toEqual([line, false]);
});

describe.each(readdirSync(folder))('%s', (file) => {
  test('pins each action by its digest, with its version in a comment', () => {
    const used = read(file).match(/uses: .*/g) ?? [];
    expect(used.length).toBeGreaterThan(0);
    for (const line of used) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test('runs commands that exist', () => {
    const lines = stepsOf(file).flatMap(({ run = '' }) => run.split('\n').filter((line) => line !== ''));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => !isKnown(line))).toEqual([]);
  });

  test('may only read the sources, except in a job that says why; and ends in time', () => {
    const { permissions, jobs } = workflowOf(file);
    expect(permissions).toEqual({ contents: 'read' });
    for (const job of Object.values(jobs)) {
      expect(job['timeout-minutes']).toBeLessThanOrEqual(60);
      expect([undefined, { contents: 'read', 'id-token': 'write' }]).toContainEqual(job.permissions);
    }
  });

  test('passes no text of a request or a branch to a shell', () => {
    for (const { run = '' } of stepsOf(file)) expect(run).not.toMatch(/\$\{\{\s*github\./);
  });
});

test('every promised system, Node and server has its job', () => {
  const { jobs } = workflowOf('ci.yml');
  expect(jobs['test']?.strategy?.matrix).toMatchObject({ os: ['ubuntu-24.04', 'macos-15'], node: ['24', 'latest'] });
  const images = ['redis:7.2', 'redis:7.4', 'redis:8', 'valkey/valkey:8', 'valkey/valkey:9'];
  expect(jobs['servers']?.strategy?.matrix).toMatchObject({ include: images.map((image) => ({ image })) });
});
