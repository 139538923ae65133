// Renovate cannot run here. This checks that it would find each third-party program whose version a test pins and no
// lockfile lists.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';

const root = path.resolve(import.meta.dirname, '../..');
const { customManagers } = z
  .object({
    customManagers: z.array(
      z.object({
        managerFilePatterns: z.tuple([z.string().regex(/^\/.*\/$/)]),
        matchStrings: z.tuple([z.string()]),
        datasourceTemplate: z.enum(['npm', 'pypi', 'go']),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(path.join(root, 'renovate.json'), 'utf8')));

const files = globSync('test/**/*.ts', { cwd: root }).map((file) => file.split(path.sep).join('/'));
const textOf = (file: string) => readFileSync(path.join(root, file), 'utf8');

function foundIn(file: string): { readonly whole: string; readonly name: string }[] {
  return customManagers
    .filter(({ managerFilePatterns: [pattern] }) => new RegExp(pattern.slice(1, -1)).test(file))
    .flatMap(({ matchStrings: [pattern], datasourceTemplate }) =>
      [...textOf(file).matchAll(new RegExp(pattern, 'g'))].map(({ 0: whole, groups }) => ({
        whole,
        name: `${datasourceTemplate} ${groups?.['depName']}`,
      })),
    );
}

test('each version that a test pins is found, once, in a file that Renovate reads', () => {
  const fixed = files.flatMap((file) => textOf(file).match(/'[^'\s]+(?:==\d|@v?\d+\.\d+\.)[\w.]+'/g) ?? []);
  const found = files.flatMap(foundIn).map(({ whole }) => whole);
  expect(fixed.length).toBeGreaterThan(5);
  expect(found.toSorted()).toEqual(fixed.toSorted());
});

test('each is found under the name that its registry has', () => {
  expect(files.flatMap(foundIn).map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'npm publint',
      'npm @arethetypeswrong/cli',
      'pypi schemathesis',
      'pypi zizmor',
      'go github.com/rhysd/actionlint',
      'go helm.sh/helm/v3',
    ]),
  );
});
