import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { licenceList, licencesOf, makeSbom } from '../../scripts/sbom.ts';

/** Permissive licences: each allows use, change and distribution, and requires only its notice. */
const permissive = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0']);

test('the bill of materials names every package of the lockfile that is run with, each under a permissive licence', () => {
  const sbom = makeSbom();
  const lock: unknown = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const licences = licencesOf(sbom);
  expect(sbom.metadata.component.name).toBe('payalo-receiver');
  expect(lock).toMatchObject({ name: 'payalo-receiver' });
  for (const name of ['bullmq', 'fastify', 'ioredis', 'pino', 'prom-client', 'undici', 'zod']) {
    expect(licences.map((one) => one.name)).toContain(name);
  }
  expect(licences.map((one) => one.name)).not.toContain('vitest');
  const unlike = licences.filter(({ licence }) => !permissive.has(licence));
  // msgpackr-extract (MIT) built for other machines; these few packages of it name no licence of their own.
  expect(unlike.filter(({ name }) => !name.startsWith('@msgpackr-extract/'))).toEqual([]);
  const listed = readFileSync(path.join('docs', 'licences.md'), 'utf8');
  expect(listed, 'docs/licences.md is behind: npm run sbom').toBe(licenceList(licences));
});
