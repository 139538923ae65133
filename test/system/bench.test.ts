// The whole benchmark as a short run: every section works, and every figure that a goal is about is a number.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { makeTempDir } from '../support/temp-dir.ts';

const results = z.object({
  sections: z.record(
    z.string(),
    z.object({ rows: z.array(z.record(z.string(), z.unknown())).min(1), summary: z.record(z.string(), z.number()) }),
  ),
});

test('measures every section and writes each as a table and as JSON', { timeout: 400_000 }, async () => {
  const out = path.join(await makeTempDir('bench'), 'results.json');
  const args = ['--disable-warning=ExperimentalWarning', path.resolve('bench/main.ts'), '--short', `--out=${out}`];
  const child = spawn(process.execPath, args);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  const [code]: unknown[] = await once(child, 'close');
  expect({ code, output }).toMatchObject({ code: 0 });
  const { sections } = results.parse(JSON.parse(readFileSync(out, 'utf8')));
  const names = [
    'accept',
    'latency',
    'end-to-end',
    'drain',
    'memory',
    'disk',
    'growth',
    'spool',
    'scale',
    'workers',
    'confirm',
    'footprint',
  ];
  expect(Object.keys(sections)).toEqual(names);
  expect(output.match(/^## /gm)).toHaveLength(names.length);
  expect(sections['memory']?.summary).toMatchObject({ 'bytes beyond the body': expect.any(Number) });
});
