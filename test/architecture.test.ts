// Holds the house in order: who may import whom, who reads the environment, and how long a file may get.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

/** For each part of src, what it may import beside itself. Anything else runs the wrong way. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'main.ts': ['roles.ts', 'runtime'],
  'cli.ts': ['cli', 'runtime'],
  cli: [
    'main.ts',
    'roles.ts',
    'deliver',
    'operate',
    'reconcile',
    'intake',
    'queue',
    'callback',
    'runtime',
    'simulator',
  ],
  'roles.ts': ['receive', 'deliver', 'reconcile', 'operate', 'intake', 'queue', 'callback', 'runtime'],
  'index.ts': ['deliver', 'queue', 'callback'],
  receive: ['intake', 'callback', 'runtime'],
  deliver: ['queue', 'callback', 'runtime'],
  reconcile: ['intake', 'queue', 'callback', 'runtime'],
  operate: ['intake', 'queue', 'callback', 'runtime'],
  intake: ['queue', 'callback', 'runtime'],
  queue: ['callback', 'runtime'],
  callback: [],
  runtime: [],
  simulator: [],
};

// A file beyond about 300 lines is two files.
const linesMax = 300;

const files = globSync('src/**/*.ts').map((file) => file.split(path.sep).join('/'));

function partOf(file: string): string {
  return file.replace(/^src\//, '').split('/')[0] ?? '';
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import\(|new URL\()\s*'(\.[^']+)'/g)].map(([, target = '']) =>
    path.posix.join(path.posix.dirname(file), target),
  );
}

/** Every import that the table does not allow, as `file -> target`. */
function wrongImports(list: readonly string[], importsIn: (file: string) => readonly string[]): string[] {
  return list.flatMap((file) =>
    importsIn(file)
      .filter((target) => target.startsWith('src/'))
      .filter((target) => partOf(target) !== partOf(file) && !(allowed[partOf(file)] ?? []).includes(partOf(target)))
      .map((target) => `${file} -> ${target}`),
  );
}

test('lets imports run in one direction only', () => {
  expect(wrongImports(files, importsOf)).toEqual([]);
});

test('would see an import that runs the wrong way', () => {
  const planted = (file: string) => (file === 'src/receive/receiver.ts' ? ['src/deliver/verdict.ts'] : []);
  expect(wrongImports(files, planted)).toEqual(['src/receive/receiver.ts -> src/deliver/verdict.ts']);
});

test('knows every part of src', () => {
  expect(new Set(files.map(partOf)).difference(new Set(Object.keys(allowed)))).toEqual(new Set());
});

test('reads the environment in one place only', () => {
  const readers = files.filter((file) => readFileSync(file, 'utf8').includes('process.env'));
  expect(readers).toEqual(['src/runtime/config.ts']);
});

test(`keeps every file within ${linesMax} lines, and opens each with what it owns`, () => {
  const texts = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }));
  expect(texts.filter(({ text }) => text.trimEnd().split('\n').length > linesMax).map(({ file }) => file)).toEqual([]);
  expect(texts.filter(({ text }) => !/^(#!.*\n)?\/\//.test(text)).map(({ file }) => file)).toEqual([]);
});
