// The style sheet matches the pages: no rule without a page, and no class without a rule.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { consolePages } from '../support/console-pages.ts';

const source = (name: string) => readFileSync(new URL(`../../src/ops/console/${name}`, import.meta.url), 'utf8');

const pages = [...consolePages().values()];
const inPages = new Set(
  [...pages.join('').matchAll(/ class="([^"]*)"/g)].flatMap(([, names = '']) => names.split(/\s+/)).filter(Boolean),
);
const byScript = new Set(
  [...source('browser.js').matchAll(/(?:className = |classList\.add\()'([^']+)'/g)].map(([, name = '']) => name),
);
const inSheet = new Set(
  [...source('console.css').matchAll(/[^{}]+(?=\{)/g)]
    .flatMap(([selectors]) => [...selectors.matchAll(/\.([a-z][\w-]*)/g)])
    .map(([, name = '']) => name),
);

describe('the style sheet of the console', () => {
  test('has a rule for each class of the pages and of the script', () => {
    expect([...inPages, ...byScript].filter((name) => !inSheet.has(name))).toEqual([]);
  });

  test('has no class that neither a page nor the script uses', () => {
    expect([...inSheet].filter((name) => !inPages.has(name) && !byScript.has(name))).toEqual([]);
  });
});
