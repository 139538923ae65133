// The dev container as the reference implementation of its specification reads it.
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { runNpmProgram } from '../support/outside-programs.ts';

const root = path.resolve(import.meta.dirname, '../..');

test('devcontainer reads it, comments and all', { timeout: 120_000 }, async (context) => {
  const { status, stdout, output } = await runNpmProgram(
    context,
    '@devcontainers/cli@0.89.0',
    // It asks the container engine what runs, and there may be none: `true` says nothing does.
    ['read-configuration', '--workspace-folder', root, '--docker-path', 'true'],
  );
  expect({ status, output }).toMatchObject({ status: 0 });
  const { configuration } = z.object({ configuration: z.looseObject({}) }).parse(JSON.parse(stdout));
  expect(configuration).toMatchObject({ name: 'payalo-receiver', remoteUser: 'node', forwardPorts: [3000, 3001] });
});
