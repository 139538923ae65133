// Runs the service from the sources as a child process, for the tests and the quickstart.
//
// Ready when its log contains `service.started`; the listeners' addresses are also read from the log (`listener.started`),
// so that port 0 works. It belongs to this process and ends with it. An early end is an error with the output in it.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { endWithThisProcess } from './end-with-this-process.ts';

export interface ServiceProcessOptions {
  /** Default: `all`. */
  readonly roles?: readonly string[] | undefined;
  /** Its only environment variables besides PATH and HOME. */
  readonly env: Readonly<Record<string, string>>;
  /** The working folder: `.env` and relative paths are looked up there. */
  readonly cwd: string;
  readonly readyMs?: number | undefined;
  /** Flags of Node, such as `--import`. */
  readonly nodeFlags?: readonly string[] | undefined;
  /** Another version's `src/main.ts`. */
  readonly program?: string | undefined;
  readonly onLog?: ((line: LogLine) => void) | undefined;
  /** Replaces Node's pipe for its standard output: where it writes, and where that is read. */
  readonly output?: { readonly writeEnd: number; readonly reader: Readable } | undefined;
}

/** One parsed line of the log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type ServiceProcess = Awaited<ReturnType<typeof startServiceProcess>>;

const ownMain = path.resolve(import.meta.dirname, '../..', 'src', 'main.ts');
/** Set by `npm run coverage`. */
const coverageVariables = process.env['TEST_COVERAGE_DIR'] === undefined ? [] : ['TEST_COVERAGE_DIR', 'NODE_OPTIONS'];
const outputCharactersMax = 20_000;

export async function startServiceProcess(options: ServiceProcessOptions) {
  const { roles = ['all'], readyMs = 20_000, nodeFlags = [], program = ownMain, onLog } = options;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...nodeFlags, program, ...roles], {
    cwd: options.cwd,
    env: { ...fromHere(['PATH', 'HOME', 'NODE_COMPILE_CACHE', ...coverageVariables]), ...options.env },
    stdio: ['ignore', options.output?.writeEnd ?? 'pipe', 'pipe'],
    detached: true, // a Ctrl-C in the terminal reaches this process only, which ends its children in order
  });
  endWithThisProcess(child);

  const logs: LogLine[] = [];
  const listeners = new Map<unknown, string>();
  let output = '';
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', (error) => {
      output += String(error);
      resolve({ code: null, signal: null });
    });
  });
  const started = new Promise<'started'>((resolve) => {
    createInterface(options.output?.reader ?? required(child.stdout)).on('line', (text) => {
      output = `${output}${text}\n`.slice(-outputCharactersMax);
      const line = parse(text);
      if (line === undefined) return;
      logs.push(line);
      if (line['event'] === 'listener.started') listeners.set(line['listener'], urlOf(line));
      if (line['event'] === 'service.started') resolve('started');
      onLog?.(line);
    });
  });
  required(child.stderr).on('data', (text) => {
    output = `${output}${String(text)}`.slice(-outputCharactersMax);
  });

  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<'overdue'>((resolve) => {
    timer = setTimeout(() => resolve('overdue'), readyMs);
  });
  const first = await Promise.race([started, exited, overdue]);
  clearTimeout(timer);
  if (first !== 'started') {
    child.kill('SIGKILL');
    const { code, signal } = first === 'overdue' ? await exited : first;
    const what = first === 'overdue' ? `was not ready after ${readyMs} ms` : `ended with ${signal ?? code}`;
    throw new ServiceDidNotStart(`The service ${what} instead of starting:\n${output}`, { code, output });
  }

  return {
    /** The URL of the public listener; '' if the roles have none. */
    url: listeners.get('public') ?? '',
    /** The URL of the operator listener. */
    opsUrl: listeners.get('operator') ?? '',
    pid: child.pid ?? -1,
    /** Every line so far; grows while the service runs. */
    logs,
    output: () => output,
    exited,
    /** Sends the signal and does not wait. */
    kill(signal: NodeJS.Signals): void {
      child.kill(signal);
    },
    /** Stops it and waits until it has ended. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit & { readonly ms: number }> {
      const askedAt = performance.now();
      child.kill(signal);
      return { ...(await exited), ms: performance.now() - askedAt };
    },
  };
}

export class ServiceDidNotStart extends Error {
  readonly code = 'SERVICE_DID_NOT_START';
  readonly exitCode: number | null;
  readonly output: string;

  constructor(message: string, { code, output }: { code: number | null; output: string }) {
    super(message);
    this.exitCode = code;
    this.output = output;
  }
}

function required<T>(stream: T | null): T {
  if (stream === null) throw new TypeError('This stream of the child is a pipe.');
  return stream;
}

function parse(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : undefined;
  } catch {
    return undefined;
  }
}

function urlOf(line: LogLine): string {
  const host = String(line['host']);
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${String(line['port'])}`;
}

/** The variables that every program needs; the caller adds the rest. */
function fromHere(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
