// A process of the service that keeps its ports across restarts, and whose clock and log pipe can misbehave.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort } from '../support/private-redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { createStallableOutput, type StallableOutput } from '../support/stallable-output.ts';

export type KeptProcess = Awaited<ReturnType<typeof keepProcess>>;

export interface KeepOptions {
  /** Unique among the processes of a test. */
  readonly name: string;
  readonly role: string;
  readonly env: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[] | undefined;
  /** Another version's `src/main.ts`. */
  readonly program?: string | undefined;
  /** The folder of its clock file and its pipe. */
  readonly dir: string;
}

const shiftedClock = pathToFileURL(path.join(import.meta.dirname, '..', 'support', 'shifted-clock.ts')).href;

export async function keepProcess({ name, role, env, nodeFlags = [], program, dir }: KeepOptions) {
  const ports = { PORT: String(await freePort()), OPS_PORT: String(await freePort()) };
  const clockFile = path.join(dir, `${name}.clock`);
  let starts = 0;
  let version = program;
  let output: StallableOutput | undefined;
  let running: TestService | undefined = await start();

  async function start(): Promise<TestService> {
    starts += 1;
    output = createStallableOutput(dir, `${name}-${starts}`);
    return startService({
      roles: [role],
      env: { ...env, ...ports, TEST_CLOCK_FILE: clockFile },
      nodeFlags: ['--import', shiftedClock, ...nodeFlags],
      program: version,
      readyMs: 30_000,
      output,
    });
  }

  async function gone(): Promise<void> {
    await running?.[Symbol.asyncDispose]();
    running = undefined;
    output?.close();
    output = undefined;
  }

  return {
    role,
    url: `http://127.0.0.1:${ports.PORT}`,
    opsUrl: `http://127.0.0.1:${ports.OPS_PORT}`,
    get pid(): number {
      return running?.pid ?? -1;
    },
    /** The log lines of the present run. */
    logs: () => running?.logs ?? [],
    kill: gone,
    async restart(): Promise<void> {
      running ??= await start();
    },
    async stop(): Promise<void> {
      await running?.stop();
    },
    /** Sets the version that later starts use; by default this one. */
    setProgram(next: string | undefined): void {
      version = next;
    },
    end: gone,
    /** Steps its clock at once; 0 corrects it. */
    setClock: (offsetMs: number): void => writeFileSync(clockFile, String(offsetMs)),
    /** Stops reading its log until the returned function is called. */
    stallLog: (): (() => void) => output?.stall() ?? (() => {}),
  };
}
