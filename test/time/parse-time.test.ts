import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseTimeMs } from '../../src/time/parse-time.ts';

test.each([
  ['2026-01-31', '2026-01-31T00:00:00.000Z'],
  ['2026-01-31T10:20', '2026-01-31T10:20:00.000Z'],
  ['2026-01-31T10:20:30', '2026-01-31T10:20:30.000Z'],
  ['2026-01-31 10:20:30.123456', '2026-01-31T10:20:30.123Z'],
  ['2026-01-31T10:20:30,5', '2026-01-31T10:20:30.500Z'],
  ['2026-01-31t10:20:30z', '2026-01-31T10:20:30.000Z'],
  ['2026-01-31T10:20:30.000000Z', '2026-01-31T10:20:30.000Z'],
  ['2026-01-31T10:20:30+03:00', '2026-01-31T07:20:30.000Z'],
  ['2026-01-31T10:20:30-0330', '2026-01-31T13:50:30.000Z'],
  ['2026-01-31T10:20:30+03', '2026-01-31T07:20:30.000Z'],
  ['2026-01-31T10:20:30 +03:00', '2026-01-31T07:20:30.000Z'],
])('%s is %s', (text, iso) => {
  expect(new Date(parseTimeMs(text) ?? Number.NaN).toISOString()).toBe(iso);
});

test.each([
  '',
  'yesterday',
  '2026',
  '1769854830',
  '2026-13-01',
  '2026-02-30',
  '2026-01-31T25:00',
  '2026-01-31T10:20:30CET',
])('%j is not a time', (text) => {
  expect(parseTimeMs(text)).toBeUndefined();
});

test.each(['Africa/Nairobi', 'America/New_York'])('gives the same result in the time zone %s', (zone) => {
  const file = path.join(import.meta.dirname, '../../src/time/parse-time.ts');
  const script = `import { parseTimeMs } from ${JSON.stringify(file)}; console.log(parseTimeMs('2026-01-31T10:20'))`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TZ: zone },
    encoding: 'utf8',
  });
  expect(stdout.trim()).toBe(String(Date.parse('2026-01-31T10:20:00Z')));
});
