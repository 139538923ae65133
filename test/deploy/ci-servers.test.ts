// Runs the step of ci.yml that extracts a server from its image; a fake `docker cp` copies this machine's server instead.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { redisServer } from '../support/redis.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const workflow = path.resolve(import.meta.dirname, '../../.github/workflows/ci.yml');
const stepSchema = z.object({ name: z.string().optional(), run: z.string().optional() });

function stepThatTakes(): string {
  const { jobs } = z
    .object({ jobs: z.object({ servers: z.object({ steps: z.array(stepSchema) }) }) })
    .parse(parse(readFileSync(workflow, 'utf8')));
  return jobs.servers.steps.find(({ name }) => name?.startsWith('Take the server') === true)?.run ?? '';
}

async function take(server: string): Promise<string> {
  const dir = await makeTempDir('runner');
  const docker = path.join(dir, 'docker');
  writeFileSync(docker, `#!/bin/sh\n[ "$2" = "id:/usr/local/bin/${server}" ] && cp "$OURS" "$3"\n`, { mode: 0o755 });
  mkdirSync(path.join(dir, 'temp'));
  const { status, stderr } = spawnSync('bash', ['-e', '-c', stepThatTakes()], {
    encoding: 'utf8',
    env: {
      ...process.env,
      ...redisServer().env,
      PATH: `${dir}${path.delimiter}${process.env['PATH']}`,
      OURS: redisServer().command,
      CONTAINER: 'id',
      SERVER: server,
      RUNNER_TEMP: path.join(dir, 'temp'),
      GITHUB_PATH: path.join(dir, 'path'),
    },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return readFileSync(path.join(dir, 'path'), 'utf8').trim();
}

test('the server runs from there, and so does the tool that repairs its files', async (context) => {
  context.skip(redisServer().command.endsWith('.mjs'), 'the server here runs in a container and cannot be copied');
  const server = path.basename(redisServer().command);
  const folder = await take(server);
  const run = (name: string, ...args: string[]) => {
    const { stdout, stderr } = spawnSync(path.join(folder, name), args, {
      encoding: 'utf8',
      env: { ...process.env, ...redisServer().env },
    });
    return stdout + stderr;
  };
  expect(run(server, '--version')).toMatch(/server v=\d/);
  expect(run(server.replace('server', 'check-aof'))).toMatch(/^Usage: .*check-aof/);
});
