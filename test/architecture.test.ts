// Enforces the architecture: allowed imports, the one reader of the environment, and the maximum length of files.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'vite';
import { expect, test } from 'vitest';
import { z } from 'zod';

/** The lowest folders: each imports only earlier ones of this list. */
const ground = ['callback', 'time', 'async', 'config', 'telemetry', 'http'];
const store = ['store', 'redis', ...ground];

/** For each folder of src, the other folders that it may import. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'main.ts': ['roles.ts', ...ground],
  'cli.ts': ['cli', ...ground],
  cli: ['main.ts', 'roles.ts', 'simulator', 'deliver', 'reconcile', 'ops', 'intake', ...store],
  'roles.ts': ['receive', 'deliver', 'reconcile', 'ops', 'intake', ...store],
  'index.ts': ['deliver', 'callback'],
  inbox: [],
  receive: ['intake', ...ground],
  deliver: store,
  reconcile: ['intake', ...store],
  ops: ['intake', ...store],
  intake: store,
  store: ['redis', ...ground],
  redis: ground,
  ...Object.fromEntries(ground.map((room, at) => [room, ground.slice(0, at)])),
  simulator: [],
};

/** For each folder of the store, the other folders that it may import. */
const allowedInStore: Readonly<Record<string, readonly string[]>> = {
  confirmation: [],
  accept: ['confirmation', 'quarantine'],
  quarantine: [],
  reconciliation: ['accept', 'quarantine'],
  callbacks: ['accept'],
  lifecycle: ['accept', 'callbacks', 'confirmation', 'quarantine', 'reconciliation'],
  report: ['accept', 'callbacks'],
  brands: ['accept', 'callbacks', 'lifecycle', 'quarantine', 'reconciliation'],
};

// A file beyond about 300 lines is two files; a function that needs scrolling is two functions.
const linesMax = 300;
const functionLinesMax = 70;

const files = globSync(['src/**/*.ts', 'simulator/**/*.ts']).map((file) => file.split(path.sep).join('/'));

function partOf(file: string): string {
  return file.replace(/^src\//, '').split('/')[0] ?? '';
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import\(|new URL\()\s*'(\.[^']+)'/g)].map(([, target = '']) =>
    path.posix.join(path.posix.dirname(file), target),
  );
}

/** Every import between the parts of a folder that its table does not allow, as `file -> target`. */
function wrongImports(
  list: readonly string[],
  importsIn: (file: string) => readonly string[],
  table: Readonly<Record<string, readonly string[]>> = allowed,
  partIn: (file: string) => string = partOf,
): string[] {
  return list.flatMap((file) =>
    importsIn(file)
      .filter((target) => /^(?:src|simulator)\//.test(target) && partIn(target) !== '')
      .filter((target) => partIn(target) !== partIn(file) && !(table[partIn(file)] ?? []).includes(partIn(target)))
      .map((target) => `${file} -> ${target}`),
  );
}

/** What test/ and bench/ import from scripts/, as `file -> target`: only test/scripts/ may, to test a script. */
function importsOfScripts(list: readonly string[], importsIn: (file: string) => readonly string[]): string[] {
  return list
    .filter((file) => !file.startsWith('test/scripts/'))
    .flatMap((file) =>
      importsIn(file)
        .filter((target) => target.startsWith('scripts/'))
        .map((target) => `${file} -> ${target}`),
    );
}

function partOfStore(file: string): string {
  return /^src\/store\/([^/]+)\//.exec(file)?.[1] ?? '';
}

/** Files that import each other in a cycle, including type imports. */
function circles(list: readonly string[], importsIn: (file: string) => readonly string[]): string[] {
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    const at = way.indexOf(file);
    if (at >= 0) found.add(way.slice(at).toSorted().join(' <-> '));
    if (at >= 0 || done.has(file)) return;
    for (const target of importsIn(file)) visit(target, [...way, file]);
    done.add(file);
  };
  for (const file of list) visit(file, []);
  return [...found];
}

test('lets imports run in one direction only', () => {
  expect(wrongImports(files, importsOf)).toEqual([]);
});

test('lets the concepts of the store depend on each other in one direction only', () => {
  const inStore = files.filter((file) => partOfStore(file) !== '');
  expect(wrongImports(inStore, importsOf, allowedInStore, partOfStore)).toEqual([]);
  expect(new Set(inStore.map(partOfStore))).toEqual(new Set(Object.keys(allowedInStore)));
});

test('has no import cycles', () => {
  const isSource = (file: string) => file.endsWith('.ts');
  expect(circles(files, (file) => importsOf(file).filter(isSource))).toEqual([]);
});

test('would detect an import cycle', () => {
  const planted: Readonly<Record<string, string[]>> = { a: ['b'], b: ['c'], c: ['a', 'd'], d: [] };
  expect(circles(['d', 'a'], (file) => planted[file] ?? [])).toEqual(['a <-> b <-> c']);
});

test('would detect an import in the wrong direction', () => {
  const planted = (file: string) => (file === 'src/receive/receiver.ts' ? ['src/deliver/verdict.ts'] : []);
  expect(wrongImports(files, planted)).toEqual(['src/receive/receiver.ts -> src/deliver/verdict.ts']);
});

test('imports scripts only into their own tests', () => {
  const users = globSync(['test/**/*.ts', 'bench/**/*.ts']).map((file) => file.split(path.sep).join('/'));
  expect(importsOfScripts(users, importsOf)).toEqual([]);
});

test('would detect an import from scripts/', () => {
  const planted = () => ['scripts/build.ts', 'test/support/redis.ts'];
  expect(importsOfScripts(['bench/rig.ts', 'test/fuzz.test.ts', 'test/scripts/sbom.test.ts'], planted)).toEqual([
    'bench/rig.ts -> scripts/build.ts',
    'test/fuzz.test.ts -> scripts/build.ts',
  ]);
});

test('covers every part of src', () => {
  expect(new Set(files.map(partOf)).difference(new Set(Object.keys(allowed)))).toEqual(new Set());
});

test('reads the environment in one place only', () => {
  const readers = files.filter((file) => readFileSync(file, 'utf8').includes('process.env'));
  expect(readers).toEqual(['src/config/config.ts']);
});

test('imports nothing but types from node:http, whose import loads the undici that Node brings along', () => {
  const texts = files.filter((file) => file.startsWith('src/')).map((file) => [file, readFileSync(file, 'utf8')]);
  expect(
    texts.filter(([, text = '']) => /^import (?!type )[^;]*'node:https?'/m.test(text)).map(([file]) => file),
  ).toEqual([]);
});

test(`keeps every file within ${linesMax} lines, and opens each with what it owns`, () => {
  const texts = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }));
  expect(texts.filter(({ text }) => text.trimEnd().split('\n').length > linesMax).map(({ file }) => file)).toEqual([]);
  expect(texts.filter(({ text }) => !/^(#!.*\n)?\/\//.test(text)).map(({ file }) => file)).toEqual([]);
});

const functionTypes = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
const functionNode = z.object({ type: z.string(), start: z.number(), end: z.number() });

/** Functions with too many own lines, as `file:line lines`; lines of nested functions do not count. */
function longFunctions(file: string, text: string): string[] {
  const found: string[] = [];
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length;
  /** Returns how many lines the functions in it take up. */
  const visit = (node: unknown): number => {
    if (typeof node !== 'object' || node === null) return 0;
    const inner = Object.values(node).reduce((sum: number, child: unknown) => sum + visit(child), 0);
    const { success, data } = functionNode.safeParse(node);
    if (!success || !functionTypes.has(data.type)) return inner;
    const first = lineAt(data.start);
    const lines = lineAt(data.end) - first + 1;
    if (lines - inner > functionLinesMax) found.push(`${file}:${first} ${lines - inner}`);
    return lines > 1 ? lines : 0;
  };
  visit(parseSync(file, text).program);
  return found;
}

test(`keeps every function within ${functionLinesMax} own lines`, () => {
  expect(files.flatMap((file) => longFunctions(file, readFileSync(file, 'utf8')))).toEqual([]);
});

test('would detect a long function, and does not count nested functions', () => {
  const long = `const inner = () => {\n${'work();\n'.repeat(functionLinesMax)}};`;
  expect(longFunctions('planted.ts', long)).toEqual([`planted.ts:1 ${functionLinesMax + 2}`]);
  expect(longFunctions('planted.ts', `function outer() {\n${long}\n}`)).toEqual([
    `planted.ts:2 ${functionLinesMax + 2}`,
  ]);
});
