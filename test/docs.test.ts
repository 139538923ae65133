// Checks that every link, path, command and test that the documents name exists.
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'vite';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { variableNames } from '../src/config/config.ts';

const documents = [...globSync('*.md'), ...globSync('docs/**/*.md'), ...globSync('examples/**/*.md')].filter(
  (file) => !file.includes('node_modules'),
);
const scripts = new Set(
  Object.keys(z.object({ scripts: z.record(z.string(), z.string()) }).parse(readJson('package.json')).scripts),
);
const testFiles = globSync('test/**/*.test.ts');
const commands = new Set(
  [...globSync('src/cli/*.ts'), 'src/cli.ts'].flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/command\(\s*'([a-z-]+)/g)].map(([, name = '']) => name),
  ),
);

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Files that a command writes. */
const written = new Set(['bench/results.json']);

/** Heading anchors, as GitHub generates them. */
function anchorsOf(file: string): Set<string> {
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)];
  return new Set(
    headings.map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function brokenLinks(file: string, text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [where = '', anchor] = target.split('#');
      const linked = where === '' ? file : path.join(path.dirname(file), where);
      return !existsSync(linked) || (anchor !== undefined && !anchorsOf(linked).has(anchor));
    });
}

/** The first line of each sample of code that does not parse. */
function brokenSamples(text: string): string[] {
  const samples = [...text.matchAll(/^```(ts|js|json)\n(.*?)^```/gms)];
  return samples
    .filter(([, language = '', code = '']) =>
      language === 'json' ? !isJson(code) : parseSync(`sample.${language}`, code).errors.length > 0,
    )
    .map(([, , code = '']) => code.slice(0, code.indexOf('\n')));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function absentPaths(text: string): string[] {
  return [...text.matchAll(/`((?:src|test|scripts|deploy|docs|examples|bench|simulator)\/[\w./*{},-]+)`/g)]
    .map(([, named = '']) => named)
    .filter((named) => !written.has(named) && globSync(named).length === 0);
}

function absentScripts(text: string): string[] {
  return [...text.matchAll(/npm run (?:--silent )?([a-z][\w:]*)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !scripts.has(name));
}

function absentCommands(text: string): string[] {
  return [...text.matchAll(/(?:npm run (?:--silent )?cli --|`payalo-receiver) ([a-z]+)\b/g)]
    .map(([, name = '']) => name)
    .filter((name) => !commands.has(name));
}

function absentTests(text: string): string[] {
  return [...text.matchAll(/(?:npx vitest run|npm (?:test|run test:system) --) ([\w./ -]+)/g)]
    .flatMap(([, names = '']) => names.split(/ -+\w/)[0]?.split(' ') ?? [])
    .filter((name) => /[a-z]/.test(name))
    .filter((name) => name !== 'NAME' && !testFiles.some((file) => file.includes(name)));
}

test.for(documents)('%s names only what exists, and its samples parse', (file) => {
  const text = readFileSync(file, 'utf8');
  expect({
    links: brokenLinks(file, text),
    samples: brokenSamples(text),
    paths: absentPaths(text),
    scripts: absentScripts(text),
    commands: absentCommands(text),
    tests: absentTests(text),
  }).toEqual({ links: [], samples: [], paths: [], scripts: [], commands: [], tests: [] });
});

test('detects what does not exist', () => {
  const text =
    '[a](absent.md) [b](README.md#absent) `src/absent.ts` `npm run absent` `npm run cli -- absent` `npx vitest run test/absent`';
  expect(brokenLinks('README.md', text)).toEqual(['absent.md', 'README.md#absent']);
  expect([absentPaths(text), absentScripts(text), absentCommands(text), absentTests(text)]).toEqual([
    ['src/absent.ts'],
    ['absent'],
    ['absent'],
    ['test/absent'],
  ]);
});

test('detects a sample that does not parse', () => {
  const fence = (language: string, code: string) => `\`\`\`${language}\n${code}\n\`\`\`\n`;
  const text =
    fence('ts', 'await once( client, // a client {\n id });') +
    fence('ts', 'const a: number = 1;') +
    fence('json', '{');
  expect(brokenSamples(text)).toEqual(['await once( client, // a client {', '{']);
});

test('llms.txt links to every document, and to nothing that does not exist', () => {
  const text = readFileSync('llms.txt', 'utf8');
  expect(brokenLinks('llms.txt', text)).toEqual([]);
  const documents = globSync(['docs/*.md', 'docs/reference/*.md']);
  expect(documents.filter((file) => !text.includes(`](${file})`))).toEqual([]);
});

test('lists every decision', () => {
  const index = readFileSync('docs/decisions/README.md', 'utf8');
  const records = globSync('docs/decisions/0*.md').map((file) => path.basename(file));
  expect(records.filter((record) => !index.includes(`](${record})`))).toEqual([]);
  expect(records.map((record) => Number(record.slice(0, 4))).toSorted((one, other) => one - other)).toEqual(
    records.map((_, at) => at + 1),
  );
});

test('the reference names every variable', () => {
  const reference = readFileSync('docs/reference/configuration.md', 'utf8');
  expect(variableNames.filter((name) => !reference.includes(`\`${name}\``))).toEqual([]);
});
