// The benchmark's short run: a section works, and the figure of each goal is a number. No figure is asserted, because it
// depends on the machine's load. test/system/bench.test.ts runs every section.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { makeTempDir } from '../support/temp-dir.ts';

const main = path.resolve('bench/main.ts');
const results = z.object({
  sections: z.record(
    z.string(),
    z.object({ rows: z.array(z.record(z.string(), z.unknown())).min(1), summary: z.record(z.string(), z.number()) }),
  ),
});

async function bench(...args: string[]) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  const [code]: unknown[] = await once(child, 'close');
  return { code, output };
}

test('measures a section and writes it as a table and as JSON', { timeout: 180_000 }, async () => {
  const out = path.join(await makeTempDir('bench'), 'results.json');
  const { code, output } = await bench('--short', `--out=${out}`, 'accept');
  expect({ code, output }).toMatchObject({ code: 0 });
  const { sections } = results.parse(JSON.parse(readFileSync(out, 'utf8')));
  expect(Object.keys(sections)).toEqual(['accept']);
  expect(output.match(/^## /gm)).toHaveLength(1);
  expect(sections['accept']?.summary).toMatchObject({ 'service / bare': expect.any(Number) });
});

test('refuses a section that does not exist, naming those that do', async () => {
  const { code, output } = await bench('throughput');
  expect(code).toBe(64);
  expect(output).toContain(
    'accept, latency, end-to-end, drain, memory, disk, growth, spool, scale, workers, confirm, footprint',
  );
});

test('explains its options, also after one that it does not know', async () => {
  const helped = await bench('--help');
  expect(helped).toMatchObject({ code: 0, output: expect.stringMatching(/^Usage: .*--against=FOLDER/s) });
  const refused = await bench('--round=3');
  expect(refused).toMatchObject({ code: 64, output: expect.stringMatching(/^Unknown option '--round'.*Usage: /s) });
  expect(refused.output).not.toContain('    at ');
});
