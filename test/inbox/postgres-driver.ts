// Installs `pg` in a separate folder below `.tools`: as a dependency of this package, npm would also use it as BullMQ's
// optional peer dependency, and put it into the image.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as Postgres from 'pg';

const version = '8.23.1';
const folder = path.resolve('.tools', `pg-${version}`);

export function loadPostgresDriver(): typeof Postgres {
  if (!existsSync(path.join(folder, 'node_modules', 'pg'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
    const args = ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', `pg@${version}`];
    const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`npm ${args.join(' ')} failed: ${stderr}`);
  }
  const loaded: typeof Postgres = createRequire(path.join(folder, 'package.json'))('pg');
  return loaded;
}
