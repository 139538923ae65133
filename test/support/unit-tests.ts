// Finds the unit tests: test files that neither start nor use a server or a process. Derived from the imports of the test
// files and their helpers, so no list needs maintenance.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A module that imports one of these may use something outside the process. */
const outside = new Set(
  [
    'child_process',
    'fs/promises',
    'http',
    'http2',
    'https',
    'net',
    'sqlite',
    'timers/promises',
    'tls',
    'worker_threads',
  ]
    .map((name) => `node:${name}`)
    .concat(['bullmq', 'ioredis', 'playwright-core', 'undici']),
);

export function unitTests(): string[] {
  const known = new Map<string, boolean>();
  return globSync('test/**/*.test.ts', { exclude: ['test/system/**'] })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => staysInside(file, known))
    .toSorted();
}

function staysInside(file: string, known: Map<string, boolean>): boolean {
  const before = known.get(file);
  if (before !== undefined) return before;
  known.set(file, true);
  const imports = importsOf(file);
  const helpers = imports
    .filter((name) => name.startsWith('.'))
    .map((name) => path.posix.join(path.posix.dirname(file), name))
    .filter((target) => /^(?:test|scripts)\/.*\.ts$/.test(target));
  const stays = imports.every((name) => !outside.has(name)) && helpers.every((helper) => staysInside(helper, known));
  known.set(file, stays);
  return stays;
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replaceAll(/^import type [^;]*;/gm, '');
  return [...text.matchAll(/(?:from |import\()'([^']+)'/g)].map(([, name = '']) => name);
}
