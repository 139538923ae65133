// The configuration as a JSON schema, for editors and pipelines: generated from the variables and their descriptions in the
// reference. `npx vitest run test/config/config-schema.test.ts -u` regenerates docs/reference/config.schema.json.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { variableNames } from '../../src/config/config.ts';
import { variableDefaults, variableSchemas } from '../../src/config/variable-schemas.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** The reference's description of a variable, as plain text. */
const meanings = new Map(
  [...read('docs/reference/configuration.md').matchAll(/^\| (`[A-Z][^|]*) \| [^|]* \| (.*) \|$/gm)].flatMap(
    ([, names = '', meaning = '']) =>
      Array.from(
        names.matchAll(/`([A-Z_]+)`/g),
        ([, name = '']) => [name, meaning.replaceAll(/`|\[|\]\([^)]*\)/g, '')] as const,
      ),
  ),
);

const property = (name: string) => ({ ...variableSchemas[name], description: meanings.get(name) });
const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of payalo-receiver',
  description:
    'Environment variables, all of them text. NAME_FILE names a file that holds the value of NAME. What depends on other variables is only checked by `payalo-receiver config --check`.',
  type: 'object',
  properties: Object.fromEntries(
    variableNames.flatMap((name) => [
      [name, property(name)],
      // Variables that name files have no `_FILE` variant.
      ...(name.endsWith('_FILE')
        ? []
        : [[`${name}_FILE`, { type: 'string', description: `A file that holds the value of ${name}.` }]]),
    ]),
  ),
};
const parser = z.fromJSONSchema(JSON.parse(JSON.stringify(schema)));
const holds = (environment: unknown) => parser.safeParse(environment).success;

test('matches the published schema, with a description of each variable', async () => {
  expect(variableNames.filter((name) => meanings.get(name) === undefined)).toEqual([]);
  await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot('../../docs/reference/config.schema.json');
});

test('accepts .env.example, its examples and every default, and refuses what a start would refuse', () => {
  const examples = read('.env.example').replaceAll(/^# ([A-Z_]+=)/gm, '$1');
  const written = Object.entries(parseEnv(examples)).filter(([, value]) => value !== '');
  expect(written.length).toBeGreaterThan(30);
  for (const [name, value] of written)
    expect({ name, value, holds: holds({ [name]: value }) }).toMatchObject({ holds: true });
  for (const [name, value] of variableDefaults)
    expect({ name, value, holds: holds({ [name]: value }) }).toMatchObject({ holds: true });
  for (const [name, value] of [
    ['PORT', 'three'],
    ['DEDUP_TTL', '14 days'],
    ['HOLD_MISMATCHED', 'perhaps'],
    ['LOG_LEVEL', 'loud'],
    ['OPS_USER_HEADER', 'a b'],
  ] as const)
    expect({ name, holds: holds({ [name]: value }) }).toMatchObject({ holds: false });
});
