// Compares .devcontainer/devcontainer.json with its sources: the image's Node, Debian and user, the ports, the commands.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { loadConfig } from '../../src/config/config.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const { scripts, engines } = z
  .object({ scripts: z.record(z.string(), z.string()), engines: z.object({ node: z.string() }) })
  .parse(JSON.parse(read('package.json')));

/** Strict, because an editor ignores unknown names. */
const containerSchema = z.strictObject({
  name: z.string(),
  image: z.string(),
  remoteUser: z.string(),
  init: z.boolean(),
  postCreateCommand: z.string(),
  forwardPorts: z.array(z.number()),
  portsAttributes: z.record(
    z.string(),
    z.strictObject({ label: z.string(), onAutoForward: z.enum(['notify', 'silent']) }),
  ),
  customizations: z.strictObject({
    vscode: z.strictObject({
      extensions: z.array(z.string().regex(/^[\w-]+\.[\w-]+$/)),
      settings: z.record(z.string(), z.unknown()),
    }),
  }),
});
const container = containerSchema.parse(
  JSON.parse(read('.devcontainer/devcontainer.json').replaceAll(/^\s*\/\/.*$/gm, '')),
);

test('has the image’s Node and Debian, and a developer’s tools', () => {
  const [, node, debian] = /^FROM node:(\d+)-(\w+)-slim$/m.exec(read('Dockerfile')) ?? [];
  expect(container.image).toBe(`node:${node}-${debian}`); // not the slim one, which has no git
  expect([read('.nvmrc').trim(), engines.node]).toEqual([node, `>=${node}`]);
});

test('runs as that image’s non-root user', () => {
  expect(container.remoteUser).toBe('node');
  expect(read('Dockerfile')).toMatch(/^USER 1000:1000$/m); // the uid of that user
});

test('starts with a command that exists', () => {
  const [, script = ''] = /^npm run ([\w:]+)( -- --once)?$/.exec(container.postCreateCommand) ?? [];
  expect(scripts).toHaveProperty([script]);
});

test('forwards and names both listeners', () => {
  const loaded = loadConfig({ PAYALO_API_KEYS: 'a-key-0123456789abc' }, []);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const { PORT, OPS_PORT } = loaded.config;
  expect(container.forwardPorts).toEqual([PORT, OPS_PORT]);
  expect(Object.keys(container.portsAttributes)).toEqual([String(PORT), String(OPS_PORT)]);
});
