// The log events: documented where users look them up, used, and checked by the compiler.
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createLog } from '../../src/telemetry/log.ts';

const read = (file: string) => readFileSync(file, 'utf8');
const groups = new Map(
  [...read('src/telemetry/event-fields.ts').matchAll(/^export interface (\w+)(.*?)\{(.*?)\}$/gms)].map(
    ([, group = '', parents = '', own = '']) => [group, `${parents} { ${own} }`],
  ),
);
const listed = [
  ...read('src/telemetry/events.ts').matchAll(/^ {2}\/\*\* (.*?) \*\/\n {2}'([^']+)':(.*?);\n(?= {2}\/\*\*|\})/gms),
].map(([, meaning = '', name = '', type = '']) => ({ meaning, name, fields: [...new Set(fieldsOf(type))] }));

/** The names of a type's fields, those of its groups first; one that may be absent ends in `?`. */
function fieldsOf(type: string): string[] {
  const flat = type.replaceAll(/\/\*\*.*?\*\//g, '').replaceAll(/\{[^{}]*\}\[\]/g, 'list');
  const inGroups = [...flat.replaceAll(/\{[^}]*\}/g, '').matchAll(/\b[A-Z]\w+/g)].flatMap(([group]) =>
    fieldsOf(groups.get(group) ?? ''),
  );
  return [...inGroups, ...[...flat.matchAll(/(\w+\??):/g)].map(([, field = '']) => field)];
}

test('docs/reference/events.md matches the events and their fields', async () => {
  const row = ({ name, meaning, fields }: (typeof listed)[number]) =>
    `| \`${name}\` | ${meaning} | ${fields.map((field) => `\`${field}\``).join(', ') || 'none'} |`;
  const text = [
    '# Log events',
    '',
    'One JSON object per line on standard output. Each has `level`, `time`, `service`, `pid` and `event`, and the fields of',
    'its event; a field with `?` may be absent. The lines of `intake.` have `brand` as well. A field that ends in `Ms`, and',
    '`ms`, is in milliseconds. Keys, bodies and personal data are never logged.',
    'This page is generated from `src/telemetry/events.ts` (`npx vitest run test/telemetry/events.test.ts -u` writes it).',
    '',
    '| event | meaning | fields |',
    '| --- | --- | --- |',
    ...listed.map(row),
    '',
  ].join('\n');
  await expect(text).toMatchFileSnapshot('../../docs/reference/events.md');
});

test('reads the fields of a list, of a group, of a group of groups, and optional ones', () => {
  const fields = Object.fromEntries(listed.map((event) => [event.name, event.fields.join(' ')]));
  expect(fields).toMatchObject({
    'api_keys.changed': 'file brands',
    'brands.not_configured': 'brand problem',
    'confirmation.denied': 'brand gatewayReference requestId kind atGateway? held',
    'intake.redis_back': '',
    'quarantine.lost': 'requestId brand reason spool',
  });
});

test('lists events alphabetically, and none that is never logged', () => {
  const names = listed.map(({ name }) => name);
  expect(names.toSorted()).toEqual(names);
  const source = globSync('src/**/*.ts')
    .filter((file) => !file.endsWith('telemetry/events.ts'))
    .map(read)
    .join('\n');
  expect(names.filter((name) => !source.includes(`'${name}'`))).toEqual([]);
});

test('the compiler, and nothing at run time, refuses a line that is not one of an event’s', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  log.info({ event: 'spool.drained', entries: 1 });
  // @ts-expect-error no such event
  log.info({ event: 'spool.emptied', entries: 1 });
  // @ts-expect-error a field is missing
  log.info({ event: 'spool.drained' });
  // @ts-expect-error a field has the wrong type
  log.info({ event: 'spool.drained', entries: 'one' });
  // @ts-expect-error the event has no such field
  log.info({ event: 'spool.drained', entries: 1, folder: 'x' });
  // @ts-expect-error a field that other events have
  log.info({ event: 'breaker.opened', brand: 'x', jobId: '1' });
  expect(lines).toHaveLength(6);
});

test('only the log imports pino', () => {
  const importers = globSync('src/**/*.ts').filter((file) => /from 'pino'/.test(read(file)));
  expect(importers).toEqual(['src/telemetry/log.ts']);
});
