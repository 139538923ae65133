import { existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from '../../src/intake/spool/make-folder.ts';
import { makeTempDir } from '../support/temp-dir.ts';

test('makes a folder and its parents, for its user only, and leaves an existing one unchanged', async () => {
  const dir = await makeTempDir('folder');
  makeFolder(path.join(dir, 'a/b'));
  makeFolder(path.join(dir, 'a/b'));
  expect(statSync(path.join(dir, 'a/b')).mode % 0o1000).toBe(0o700);
  await rm(dir, { recursive: true });
});

test('throws the system’s error if a parent is a file or a broken link', async () => {
  const dir = await makeTempDir('folder');
  writeFileSync(path.join(dir, 'file'), '');
  symlinkSync(path.join(dir, 'nothing'), path.join(dir, 'link'));
  for (const parent of ['file', 'link']) expect(() => makeFolder(path.join(dir, parent, 'a'))).toThrow(/EEXIST/);
  await rm(dir, { recursive: true });
});

test.skipIf(!existsSync('/proc/self'))('ends even where Node would try for ever', () => {
  expect(() => makeFolder('/proc/no-such-folder/a')).toThrow(/ENOENT/);
});
