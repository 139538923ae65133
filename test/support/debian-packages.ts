// Installs other real programs for the system tests on Debian and Ubuntu: `await ensureDebianPackages(['haproxy'])`.
//
// As root they are installed with apt-get; as an ordinary user they are unpacked privately below `.tools`, which serves
// programs that need no system configuration. A machine that cannot install them fails no test: the result names what is
// missing, and `describe.skipIf(packages.missing)` skips the tests by name.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { canUnpackDebianPackages, environmentOf, unpackDebianPackages } from './unpack-debian-packages.ts';

export interface DebianPackagesOptions {
  readonly say?: (text: string) => void;
}

export interface DebianPackages {
  /** Why they are not available; undefined if they are. For `describe.skipIf(packages.missing)`. */
  readonly missing: string | undefined;
  /** The path of one of their programs. Throws if there is none of that name. */
  readonly program: (name: string) => string;
  /** Additional environment variables for their programs. */
  readonly env: Readonly<Record<string, string>>;
}

const root = path.resolve(import.meta.dirname, '../..');
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
/** dpkg's scripts run it before they start a service; exit code 101 forbids that. */
const servicePolicy = '/usr/sbin/policy-rc.d';
const installTimeoutMs = 300_000;
const lockTimeoutSeconds = 240;

export async function ensureDebianPackages(
  names: readonly string[],
  { say = (text) => process.stderr.write(`${text}\n`) }: DebianPackagesOptions = {},
): Promise<DebianPackages> {
  if (!canUnpackDebianPackages()) {
    return unavailable(`needs ${names.join(', ')} of Debian or Ubuntu`, say);
  }
  if (names.every(isInstalled)) return ready([], {});
  try {
    if (process.getuid?.() === 0) {
      install(names, say);
      return ready([], {});
    }
    const home = path.join(root, '.tools', `packages-${digestOf(names)}`);
    if (!isFolder(home)) await unpackDebianPackages({ names, into: home, say });
    const folders = systemFolders.map((folder) => path.join(home, folder));
    return ready(folders, environmentOf(home));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return unavailable(`needs ${names.join(', ')} (${why})`, say);
  }
}

function ready(unpacked: readonly string[], env: Record<string, string>): DebianPackages {
  const folders = [...unpacked, ...systemFolders];
  return {
    missing: undefined,
    // The system's folders come last, so that the first Node on the PATH stays the first.
    env: { PATH: [...unpacked, process.env['PATH'] ?? '', ...systemFolders].join(path.delimiter), ...env },
    program(name) {
      const file = folders.map((folder) => path.join(folder, name)).find(isExecutable);
      if (file === undefined) throw new Error(`There is no program ${name} in ${folders.join(', ')}.`);
      return file;
    },
  };
}

function unavailable(missing: string, say: (text: string) => void): DebianPackages {
  say(`Skipping tests: ${missing}`);
  return {
    missing,
    env: {},
    program(name) {
      throw new Error(`${name} is not here: ${missing}`);
    },
  };
}

function isInstalled(name: string): boolean {
  const { status, stdout } = spawnSync('dpkg-query', ['--show', '--showformat=${db:Status-Abbrev}', name], {
    encoding: 'utf8',
  });
  return status === 0 && stdout.startsWith('ii');
}

/** Tests need the programs, not their services: during the installation, starting services is forbidden. */
function install(names: readonly string[], say: (text: string) => void): void {
  say(`Installing ${names.join(', ')} with apt-get`);
  const isOurs = !existsSync(servicePolicy);
  if (isOurs) writeFileSync(servicePolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    apt(['update', '-q']);
    apt(['install', '--yes', '-q', '--no-install-recommends', ...names]);
  } finally {
    if (isOurs) rmSync(servicePolicy, { force: true });
  }
}

function apt(args: readonly string[]): void {
  const { status, stderr, error } = waitingForLock(() =>
    spawnSync('apt-get', ['-o', `DPkg::Lock::Timeout=${lockTimeoutSeconds}`, ...args], {
      encoding: 'utf8',
      timeout: installTimeoutMs,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
    }),
  );
  if (status === 0) return;
  throw new Error(
    `apt-get ${args.join(' ')} failed: ${error?.message ?? stderr.trim().split('\n').slice(-2).join(' ')}`,
  );
}

/** apt waits for dpkg's lock, but not for the lock of the package lists, which other test files may hold. */
function waitingForLock<Run extends { readonly status: number | null; readonly stderr: string }>(run: () => Run): Run {
  const endsAtMs = performance.now() + lockTimeoutSeconds * 1_000;
  for (;;) {
    const result = run();
    const isLocked = result.status !== 0 && result.stderr.includes('Could not get lock');
    if (!isLocked || performance.now() > endsAtMs) return result;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000); // nothing else runs in this process meanwhile
  }
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
