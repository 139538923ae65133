// The image's labels match package.json: both belong to one release.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const manifest = z
  .object({
    name: z.string(),
    version: z.string(),
    description: z.string(),
    homepage: z.url(),
    license: z.string(),
    author: z.string(),
    repository: z.object({ url: z.string() }),
  })
  .parse(JSON.parse(read('package.json')));
const source = manifest.repository.url.replace(/^git\+(.*)\.git$/, '$1');

test('the image has the package’s labels', () => {
  const [, last = ''] = read('Dockerfile').split(/^FROM \S+\n(?!.*^FROM )/ms); // the stage that is published
  const labels = [...last.matchAll(/\borg\.opencontainers\.image\.(\w+)="([^"]*)"/g)];
  expect(Object.fromEntries(labels.map(([, name, value]) => [name, value]))).toEqual({
    title: manifest.name,
    description: manifest.description,
    version: manifest.version,
    url: manifest.homepage,
    source,
    authors: manifest.author,
    licenses: manifest.license,
  });
});

test('SECURITY.md names the signing workflow at the present version', () => {
  const [, identity = '', workflow = '', version = ''] =
    /--certificate-identity ((?:\S+?)\/(\.github\/\S+)@refs\/tags\/v(\S+))/.exec(read('SECURITY.md')) ?? [];
  expect(identity).toBe(`${source}/${workflow}@refs/tags/v${manifest.version}`);
  expect(existsSync(path.join(root, workflow))).toBe(true);
  expect(version).toBe(manifest.version);
  expect(read(workflow)).toContain('cosign sign');
});
