// The list of log events: documented where users look them up, and used.
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { events } from '../../src/telemetry/events.ts';

test('docs/reference/events.md matches the list of events', async () => {
  const rows = Object.entries(events).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  const text = [
    '# Log events',
    '',
    'One JSON object per line on standard output. Each has `level`, `time`, `service`, `pid` and `event`, and the fields of',
    'its event: `brand`, `gatewayReference`, `requestId`, `ms` and others. Keys, bodies and personal data are never logged.',
    'This page is generated from `src/telemetry/events.ts` (`npx vitest run test/telemetry/events.test.ts -u` writes it).',
    '',
    '| event | meaning |',
    '| --- | --- |',
    ...rows,
    '',
  ].join('\n');
  await expect(text).toMatchFileSnapshot('../../docs/reference/events.md');
});

test('lists events alphabetically, and none that nobody logs', () => {
  const names = Object.keys(events);
  expect(names.toSorted()).toEqual(names);
  const source = globSync('src/**/*.ts')
    .filter((file) => !file.endsWith('telemetry/events.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  // Those of what is answered are put together from the outcome that it says.
  const answered = readFileSync('src/receive/receive-callback.ts', 'utf8');
  const isOutcome = (name: string) => answered.includes(`say('${name.replace(/^callback\./, '')}'`);
  const isNamed = (name: string) => source.includes(`'${name}'`) || isOutcome(name);
  expect(names.filter((name) => !isNamed(name))).toEqual([]);
});
