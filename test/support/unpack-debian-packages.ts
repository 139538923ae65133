// Unpacks packages of Debian or Ubuntu into a private folder, as an ordinary user. Reads only the system's lists of sources
// and of installed packages, configures nothing, and starts no service.
//
// Promises: the folder appears complete or not at all, also if two commands run at once (each unpacks into a separate
// folder, and the first to finish wins). Fails with an error that contains apt's last output.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const aptTimeoutMs = 180_000;
const aptOutputBytesMax = 16_777_216;

/** An unpacked libc without the dynamic loader that belongs to it breaks every program that finds it. */
const neverUnpacked = new Set(['libc6', 'libc-bin', 'libc6-dev']);

export interface UnpackOptions {
  readonly names: readonly string[];
  readonly into: string;
  readonly say: (text: string) => void;
}

/** Whether this system has the tools for unpacking. */
export function canUnpackDebianPackages(): boolean {
  return ['/usr/bin/apt-get', '/usr/bin/dpkg', '/etc/apt'].every((file) => existsSync(file));
}

/** Unpacks the packages and those of their dependencies that the system does not have. */
export async function unpackDebianPackages({ names, into, say }: UnpackOptions): Promise<void> {
  await mkdir(path.dirname(into), { recursive: true });
  const work = await mkdtemp(`${into}.unpacking-`);
  try {
    const apt = await prepareApt(work);
    say(`Fetching the package lists of ${distributionName()} into a private folder`);
    await apt(['update', '-q']);
    // The simulation needs no root and takes no lock. Its lines read `Inst NAME [OLD VERSION] (NEW VERSION ...)`.
    const plan = await apt(['install', '--simulate', '--no-install-recommends', ...names]);
    const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name = '']) => name);
    const wanted = [...new Set([...names, ...missing])].filter((name) => !neverUnpacked.has(name.split(':')[0] ?? ''));
    say(`Downloading and unpacking ${wanted.join(', ')}`);
    await apt(['download', '-q', ...wanted]);
    const unpacked = path.join(work, 'root');
    await mkdir(unpacked);
    for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
      await command('dpkg', ['-x', path.join(work, file), unpacked], work);
    }
    await putInPlace(unpacked, into);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** What a program needs in its environment to find the libraries unpacked with it. */
export function environmentOf(unpacked: string): { LD_LIBRARY_PATH?: string } {
  const folders = ['usr/lib', 'lib'].flatMap((name) => {
    const folder = path.join(unpacked, name);
    if (!existsSync(folder)) return [];
    return [folder, ...readdirSync(folder).map((triplet) => path.join(folder, triplet))].filter(holdsLibraries);
  });
  return folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(':') };
}

function holdsLibraries(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => /\.so(\.|$)/.test(name));
  } catch {
    return false; // a file
  }
}

async function prepareApt(work: string): Promise<(args: readonly string[]) => Promise<string>> {
  const settings = path.join(work, 'apt.conf');
  for (const folder of ['lists/partial', 'cache/archives/partial', 'log']) {
    await mkdir(path.join(work, folder), { recursive: true });
  }
  await writeFile(
    settings,
    [
      `Dir::State::Lists "${work}/lists";`,
      `Dir::Cache "${work}/cache";`,
      `Dir::Log "${work}/log";`,
      'APT::Sandbox::User "root";', // as root, apt would switch to the user _apt, which may not write here
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
      // Skip the system's own post-update steps, such as refreshing desktop caches.
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '#clear Acquire::IndexTargets::deb::Contents-deb;',
      '#clear Acquire::IndexTargets::deb::DEP-11;',
      '',
    ].join('\n'),
  );
  return (args) => command('apt-get', ['-c', settings, ...args], work);
}

async function command(name: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await run(name, args, {
      cwd,
      timeout: aptTimeoutMs,
      maxBuffer: aptOutputBytesMax,
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    });
    return stdout;
  } catch (cause) {
    const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim().split('\n').slice(-3) : [];
    throw new Error(`${name} ${args.filter((arg) => !arg.startsWith('/')).join(' ')} failed: ${words.join(' ')}`, {
      cause,
    });
  }
}

/** Another command may have finished first, with the same result. */
async function putInPlace(unpacked: string, into: string): Promise<void> {
  try {
    await rename(unpacked, into);
  } catch (error) {
    if (!existsSync(into)) throw error;
  }
}

function distributionName(): string {
  return existsSync('/etc/lsb-release') ? 'Ubuntu' : 'Debian';
}
