// The AsyncAPI document as AsyncAPI's own parser reads it.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeTempDir } from '../support/temp-dir.ts';

const release = '@asyncapi/parser@3.6.6';
const document = path.resolve(import.meta.dirname, '../../docs/reference/asyncapi.json');

const program = `
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
const diagnostics = await new Parser().validate(readFileSync(process.argv[2], 'utf8'));
console.log(JSON.stringify(diagnostics.filter(({ severity }) => severity < 2)));
`;

test('the parser of AsyncAPI finds nothing in asyncapi.json', { timeout: 180_000 }, async (context) => {
  const dir = await makeTempDir('asyncapi');
  const run = (command: string, args: readonly string[]) => spawnSync(command, args, { cwd: dir, encoding: 'utf8' });
  await writeFile(path.join(dir, 'package.json'), '{"type":"module"}');
  const installed = run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', release]);
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404/.test(installed.stderr))
    return context.skip(`${release} cannot be fetched`);
  await writeFile(path.join(dir, 'validate.js'), program);
  expect(run(process.execPath, ['validate.js', document])).toMatchObject({ status: 0, stdout: '[]\n' });
  const broken = path.join(dir, 'broken.json');
  await writeFile(broken, '{"asyncapi":"3.0.0","info":{"title":"x"}}');
  expect(run(process.execPath, ['validate.js', broken]).stdout).not.toBe('[]\n');
});
