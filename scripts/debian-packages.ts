// Brings other real programs for the system tests on Debian and Ubuntu: `await ensureDebianPackages(['haproxy'])`.
//
// As root they are installed with apt-get; as an ordinary user they are unpacked privately below `.tools`, which serves
// programs that do not need configuration of the system's. Nobody is failed by a machine that cannot have them: the
// outcome says what is missing, in words that a skipped test can show.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { canUnpackDebianPackages, environmentOf, unpackDebianPackages } from './unpack-debian-packages.ts';

export interface DebianPackagesOptions {
  readonly say?: (text: string) => void;
}

export type DebianPackages =
  | {
      readonly kind: 'ready';
      /** The path of one of their programs. Throws where none of them has it. */
      readonly program: (name: string) => string;
      /** What their programs need on top of the environment. */
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'missing'; readonly reason: string };

const root = path.dirname(import.meta.dirname);
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const installTimeoutMs = 300_000;
const lockTimeoutSeconds = 240;

export async function ensureDebianPackages(
  names: readonly string[],
  { say = (text) => process.stderr.write(`${text}\n`) }: DebianPackagesOptions = {},
): Promise<DebianPackages> {
  if (!canUnpackDebianPackages()) {
    return { kind: 'missing', reason: `skipped: needs ${names.join(', ')} of Debian or Ubuntu` };
  }
  if (names.every(isInstalled)) return ready(systemFolders, {});
  try {
    if (process.getuid?.() === 0) {
      install(names, say);
      return ready(systemFolders, {});
    }
    const home = path.join(root, '.tools', `packages-${digestOf(names)}`);
    if (!isFolder(home)) await unpackDebianPackages({ names, into: home, say });
    const folders = systemFolders.map((folder) => path.join(home, folder));
    return ready([...folders, ...systemFolders], environmentOf(home));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'missing', reason: `skipped: needs ${names.join(', ')} (${why})` };
  }
}

function ready(folders: readonly string[], env: Record<string, string>): DebianPackages {
  return {
    kind: 'ready',
    env: { PATH: [...folders, process.env['PATH'] ?? ''].join(path.delimiter), ...env },
    program(name) {
      const file = folders.map((folder) => path.join(folder, name)).find(isExecutable);
      if (file === undefined) throw new Error(`There is no program ${name} in ${folders.join(', ')}.`);
      return file;
    },
  };
}

function isInstalled(name: string): boolean {
  const { status, stdout } = spawnSync('dpkg-query', ['--show', '--showformat=${db:Status-Abbrev}', name], {
    encoding: 'utf8',
  });
  return status === 0 && stdout.startsWith('ii');
}

/** No service is started: a policy file says so where there is none, as images of containers have it. */
function install(names: readonly string[], say: (text: string) => void): void {
  say(`Installing ${names.join(', ')} with apt-get`);
  apt(['update', '-q']);
  apt(['install', '--yes', '-q', '--no-install-recommends', ...names]);
}

function apt(args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('apt-get', ['-o', `DPkg::Lock::Timeout=${lockTimeoutSeconds}`, ...args], {
    encoding: 'utf8',
    timeout: installTimeoutMs,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', RUNLEVEL: '1' },
  });
  if (status === 0) return;
  throw new Error(
    `apt-get ${args.join(' ')} failed: ${error?.message ?? stderr.trim().split('\n').slice(-2).join(' ')}`,
  );
}

function digestOf(names: readonly string[]): string {
  return createHash('sha256').update(names.toSorted().join(' ')).digest('hex').slice(0, 12);
}

function isFolder(file: string): boolean {
  return canAccess(file, constants.R_OK);
}

function isExecutable(file: string): boolean {
  return canAccess(file, constants.X_OK);
}

function canAccess(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
