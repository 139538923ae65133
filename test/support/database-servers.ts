// A private PostgreSQL and a private MariaDB from Debian's packages, in a temporary folder, on the loopback address. Both
// refuse to run as root: as root, these tests run them as the user that their package created.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { DebianPackages } from './debian-packages.ts';
import { endWithThisProcess } from './end-with-this-process.ts';
import { freePort } from './private-redis.ts';
import { makeTempDir } from './temp-dir.ts';
import { until } from './until.ts';

export interface DatabaseServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Debian's packages install the server's programs here, not on the PATH. */
export const postgresVersions = '/usr/lib/postgresql';

export async function startPostgres(): Promise<DatabaseServer> {
  const bin = path.join(postgresVersions, readdirSync(postgresVersions).toSorted().at(-1) ?? '', 'bin');
  const owner = ownerOf('postgres');
  const dir = await ownDir('postgres', owner);
  const data = path.join(dir, 'data');
  runAs(owner, path.join(bin, 'initdb'), ['-D', data, '-U', 'shop', '--auth=trust', '--no-sync']);
  const port = await freePort();
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    '-h',
    '127.0.0.1',
    '-k',
    dir,
    '-c',
    'fsync=off',
    '-c',
    'max_connections=50',
  ];
  const server = start(owner, path.join(bin, 'postgres'), args, dir);
  const isReady = () =>
    spawnSync(path.join(bin, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port), '-q']).status === 0;
  await until(isReady, { timeoutMs: 30_000, describe: 'PostgreSQL' });
  return { url: `postgres://shop@127.0.0.1:${port}/postgres`, stop: () => end(server, 'SIGINT') };
}

/** `program` returns the path of a program of the package. */
export async function startMariadb(program: DebianPackages['program']): Promise<DatabaseServer> {
  const owner = ownerOf('mysql');
  const dir = await ownDir('mariadb', owner);
  const data = path.join(dir, 'data');
  const files = ['--no-defaults', `--datadir=${data}`];
  runAs(owner, program('mariadb-install-db'), [...files, '--auth-root-authentication-method=normal', '--skip-test-db']);
  const port = await freePort();
  const socket = path.join(dir, 'socket');
  const listen = [
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--socket=${socket}`,
    `--pid-file=${path.join(dir, 'pid')}`,
  ];
  const server = start(owner, program('mariadbd'), [...files, ...listen, '--innodb-flush-log-at-trx-commit=0'], dir);
  const admin = (...args: string[]) =>
    spawnSync(program('mariadb'), ['--no-defaults', '-u', 'root', `--socket=${socket}`, ...args]);
  await until(() => admin('-e', 'SELECT 1').status === 0, { timeoutMs: 30_000, describe: 'MariaDB' });
  admin(
    '-e',
    "CREATE DATABASE shop; CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'shop'; GRANT ALL ON shop.* TO shop@'127.0.0.1'",
  );
  return { url: `mysql://shop:shop@127.0.0.1:${port}/shop`, stop: () => end(server, 'SIGTERM') };
}

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

/** No other user if this process is not root. */
function ownerOf(user: string): Owner {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(spawnSync('id', [flag, user]).stdout.toString());
  return { uid: idOf('-u'), gid: idOf('-g') };
}

async function ownDir(name: string, { uid, gid }: Owner): Promise<string> {
  const dir = path.join(await makeTempDir(name), 'own');
  mkdirSync(dir);
  chmodSync(path.dirname(dir), 0o755);
  if (uid !== undefined && gid !== undefined) chownSync(dir, uid, gid);
  return dir;
}

function runAs(owner: Owner, program: string, args: readonly string[]): void {
  const { status, stderr, stdout, error } = spawnSync(program, args, { ...owner, cwd: '/' });
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? String(stderr) + String(stdout)}`);
}

function start(owner: Owner, program: string, args: readonly string[], cwd: string): ChildProcess {
  const server = spawn(program, args, { ...owner, cwd, stdio: 'ignore' });
  endWithThisProcess(server);
  return server;
}

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(server, 'close');
  server.kill(signal);
  await ended;
}
