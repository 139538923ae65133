import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { versionedFiles, versionProblems, type VersionedTexts } from '../../scripts/version-problems.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(path.join(root, name), 'utf8');

const texts: VersionedTexts = {
  manifest: '{ "version": "1.2.3" }',
  lock: '{ "version": "1.2.3" }',
  changelog: '# Changelog\n\n## [1.2.3] - 2026-11-27\n',
  image: 'LABEL a="b" \\\n      org.opencontainers.image.version="1.2.3" \\\n',
  chart: 'version: 0.4.0\nappVersion: 1.2.3\n',
  kustomization: 'images:\n  - name: payalo-receiver\n    newTag: 1.2.3\n',
};

test('a release whose parts name its version has no problem', () => {
  expect(versionProblems('v1.2.3', texts)).toEqual([]);
});

test.for([
  ['v1.2.4', {}, 'The tag is "v1.2.4", and package.json has 1.2.3: tag v1.2.3.'],
  ['1.2.3', {}, 'The tag is "1.2.3", and package.json has 1.2.3: tag v1.2.3.'],
  ['', {}, 'The tag is "", and package.json has 1.2.3: tag v1.2.3.'],
  ['v1.2.3', { changelog: '## [Unreleased]\n' }, 'CHANGELOG.md has no heading "## [1.2.3] - DATE"'],
  ['v1.2.3', { changelog: '\n## [1.2.30] - 2026-11-27\n' }, 'CHANGELOG.md has no heading "## [1.2.3] - DATE"'],
  ['v1.2.3', { lock: '{ "version": "1.2.2" }' }, 'package-lock.json has 1.2.2, and package.json has 1.2.3: run npm'],
  ['v1.2.3', { image: '  org.opencontainers.image.version="1.2.2"' }, 'Dockerfile has 1.2.2, and'],
  ['v1.2.3', { image: 'LABEL a="b"' }, 'Dockerfile has no version, and'],
  ['v1.2.3', { chart: 'version: 1.2.3\nappVersion: 1.2.2\n' }, 'deploy/helm/Chart.yaml has 1.2.2, and'],
  ['v1.2.3', { kustomization: 'images:\n  - { newTag: 1.2.2 }\n' }, 'deploy/kubernetes/kustomization.yaml has 1.2.2'],
] as const)('%s with %o is reported', ([tag, other, sentence]) => {
  expect(versionProblems(tag, { ...texts, ...other })).toEqual([expect.stringContaining(sentence)]);
});

test('in this checkout nothing but the changelog waits for the release', () => {
  const here = {
    manifest: read(versionedFiles.manifest),
    lock: read(versionedFiles.lock),
    changelog: read(versionedFiles.changelog),
    image: read(versionedFiles.image),
    chart: read(versionedFiles.chart),
    kustomization: read(versionedFiles.kustomization),
  };
  const [, version] = /"version": "([^"]+)"/.exec(here.manifest) ?? [];
  const problems = versionProblems(`v${version}`, here);
  expect(problems.filter((problem) => !problem.startsWith('CHANGELOG.md'))).toEqual([]);
});
