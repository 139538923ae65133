// Runs operator commands as a user does: each as a process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const cli = path.join(import.meta.dirname, '..', '..', 'src', 'cli.ts');

export interface CliRun {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CliProcess {
  readonly ended: Promise<CliRun>;
  /** Of each stream, until now. */
  readonly texts: { readonly out: string; readonly err: string };
  /** Of both streams, until now. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
}

/** Its environment contains only what the test passes. */
export function startCli(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', cli, ...args], {
    cwd: env['SPOOL_DIR'] === undefined ? import.meta.dirname : path.dirname(env['SPOOL_DIR']),
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
  });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (text) => (texts.out += String(text)));
  child.stderr.on('data', (text) => (texts.err += String(text)));
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, ...texts }));
  return { ended, texts, output: () => texts.out + texts.err, kill: (signal) => void child.kill(signal) };
}

export function runCli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<CliRun> {
  return startCli(args, env).ended;
}
