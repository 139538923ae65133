// A copy of the checkout in a temporary folder, in which bugs are planted and tests run. The checkout itself is not
// touched. The copy is removed when this process ends.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface TestRun {
  readonly passed: boolean;
  /** Whether every failure was a timeout: the code hangs, or the machine is busy. */
  readonly hasTimedOut: boolean;
  /** The names of the first tests that failed. */
  readonly failures: string;
  readonly output: string;
}

const root = path.dirname(import.meta.dirname);

export function copySources(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'payalo-copy-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of files.trimEnd().split('\n')) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(dir, file));
  }
  for (const shared of ['node_modules', '.tools']) symlinkSync(path.join(root, shared), path.join(dir, shared));
  return dir;
}

/** A run that takes longer than `timeoutMs` is killed and counts as failed. */
export async function runTests(dir: string, args: readonly string[], timeoutMs?: number): Promise<TestRun> {
  const vitest = path.join('node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', ...args], {
    cwd: dir,
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(timeoutMs !== undefined && { timeout: timeoutMs, killSignal: 'SIGKILL' }),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => (output += text));
  }
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...ended) => resolve(ended)),
  );
  const passed = code === 0;
  const failures = new Set([...output.matchAll(/^ *[×x] (.*?)(?: \d+ms)?$/gm)].map(([, test = '']) => test));
  const hasTimedOut = !passed && (signal === 'SIGKILL' || sayTimeoutsOnly(output));
  return { passed, hasTimedOut, failures: [...failures].slice(0, 3).join('; '), output };
}

/** Whether vitest printed failures and each is a timeout (of test/support/until.ts or vitest's own). */
export function sayTimeoutsOnly(output: string): boolean {
  const failures = [...output.matchAll(/^ *FAIL .*\n(?! *FAIL )(.*)$/gm)].map(([, error = '']) => error);
  const timeout = /^(?:TestTimeoutError|HookTimeoutError|Error: Waited \d+ ms in vain for ).*/;
  return failures.length > 0 && failures.every((error) => timeout.test(error)) && !output.includes('Unhandled Errors');
}
