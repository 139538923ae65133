import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { jobJsonSchema } from '../../src/callback/job-json-schema.ts';

test('job.schema.json matches the zod schema (to regenerate: node scripts/job-schema.ts)', async () => {
  const text = await readFile(new URL('../../src/callback/job.schema.json', import.meta.url), 'utf8');
  expect(JSON.parse(text)).toEqual(jobJsonSchema());
});
