// The test rig of every section: private Redis servers that sync every write before answering, a merchant, the service
// from the sources, the contestants, and load generators. Each is a process and ends with the rig.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { endWithThisProcess } from '../test/support/end-with-this-process.ts';
import { freePort, startPrivateRedis, type PrivateRedis } from '../test/support/private-redis.ts';
import { ensureRedisServer, type RedisServer } from '../test/support/redis-server.ts';
import { benchKey } from './callback-text.ts';
import { loadResultSchema, type Load, type LoadResult } from './processes/load.ts';
import { merchantCountsSchema } from './processes/merchant.ts';

export type Rig = Awaited<ReturnType<typeof createRig>>;

export interface Running {
  readonly pid: number;
  /** The URL of the callback path, or of the merchant. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface BenchRedis extends PrivateRedis {
  readonly client: Redis;
}

export interface ServiceOptions {
  readonly roles: readonly string[];
  readonly redis: { readonly url: string };
  readonly env?: Readonly<Record<string, string>>;
  /** The checkout of the service; by default this one. */
  readonly checkout?: string | undefined;
  /** Runs the compiled service (`npm run build`), as the image does, instead of the sources. */
  readonly compiled?: boolean | undefined;
}

const folder = import.meta.dirname;
const root = path.dirname(folder);
const readyMs = 20_000;
const outputCharactersMax = 4_000;
const nodeFlags = ['--disable-warning=ExperimentalWarning'];
/** Node's options in the image. */
function imageFlags(): string[] {
  const options = /NODE_OPTIONS="([^"]*)"/.exec(readFileSync(path.join(root, 'Dockerfile'), 'utf8'))?.[1];
  if (options === undefined) throw new Error('The Dockerfile no longer sets NODE_OPTIONS.');
  return options.split(' ');
}

/** An append-only file rewrite during a run would distort the measurement. */
const redisArgs = ['--auto-aof-rewrite-percentage', '0'];

export async function createRig(say: (text: string) => void) {
  const started = new AsyncDisposableStack();
  const server = await ensureRedisServer({ say });
  const dir = await mkdtemp(path.join(tmpdir(), 'payalo-bench-'));
  started.defer(() => rm(dir, { recursive: true, force: true }));
  let count = 0;

  async function startProcess(script: string, args: readonly string[], port: number, options: ProcessOptions = {}) {
    count += 1;
    // The output goes to a file, like a container's log; it is read only after a failure.
    const log = path.join(dir, `${count}.log`);
    const output = openSync(log, 'w');
    const child = spawn(process.execPath, [...nodeFlags, ...(options.flags ?? []), script, ...args], {
      cwd: dir,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.env },
      stdio: ['ignore', output, output],
      detached: true, // Ctrl-C in the terminal signals only the benchmark, which stops its children in order
    });
    closeSync(output);
    endWithThisProcess(child);
    const stop = async () => end(child);
    started.defer(stop);
    await untilAnswers(child, port, log);
    return { pid: child.pid ?? -1, stop };
  }

  return {
    server,

    async startRedis(): Promise<BenchRedis> {
      count += 1;
      const redis = await startPrivateRedis({ server, dir: path.join(dir, `redis-${count}`), args: redisArgs });
      started.defer(() => redis.stop());
      const client = new Redis(redis.url, { lazyConnect: true, maxRetriesPerRequest: null });
      client.on('error', () => undefined); // a section that stops the server expects it
      started.defer(() => client.disconnect());
      await client.connect();
      return Object.assign(redis, { client });
    },

    async startService({
      roles,
      redis,
      env = {},
      checkout = root,
      compiled = false,
    }: ServiceOptions): Promise<Running> {
      const [port, operatorPort] = [await freePort(), await freePort()];
      count += 1;
      const own = {
        HOST: '127.0.0.1',
        PORT: String(port),
        OPS_PORT: String(operatorPort),
        PAYALO_API_KEYS: benchKey,
        REDIS_URL: redis.url,
        SPOOL_DIR: path.join(dir, `spool-${count}`),
        SHUTDOWN_TIMEOUT: '3s',
        ...env,
      };
      const main = path.join(checkout, compiled ? 'dist/src/main.js' : 'src/main.ts');
      const flags = [...profileFlags(roles.join('-')), ...(compiled ? imageFlags() : [])];
      const readyPort = roles.includes('receive') ? port : operatorPort;
      const service = await startProcess(main, roles, readyPort, { env: own, flags });
      return { ...service, url: `http://127.0.0.1:${port}/webhooks/payalo` };
    },

    /** Starts a script of `processes` that listens on the given port. */
    async startContestant(name: string, ...args: string[]): Promise<Running> {
      const port = await freePort();
      const running = await startProcess(scriptOf(name), [String(port), ...args], port);
      return { ...running, url: `http://127.0.0.1:${port}/webhooks/payalo` };
    },

    /** Runs a script of `processes` to its end and reads the JSON line that it prints. */
    async run(name: string, ...args: string[]): Promise<unknown> {
      return JSON.parse(await outputOf(process.execPath, [...nodeFlags, scriptOf(name), ...args]));
    },

    /** Throws unless every request was answered 200; otherwise the measurement is invalid. */
    async load(load: Load): Promise<LoadResult> {
      const result = loadResultSchema.parse(await this.run('load', JSON.stringify(load)));
      if (result.statuses['200'] !== load.requests) {
        throw new Error(`Not every callback was answered 200: ${JSON.stringify(result.statuses)}`);
      }
      return result;
    },

    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

/** The merchant's counts since the last call. */
export async function merchantCounts({ url }: Running) {
  return merchantCountsSchema.parse(await (await fetch(url)).json());
}

export async function usedMemoryBytes(redis: BenchRedis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
}

/** The path of a program installed next to redis-server, such as redis-benchmark. */
export function siblingProgram({ command }: RedisServer, name: string): string {
  return path.isAbsolute(command) ? path.join(path.dirname(command), name) : name;
}

/** The output of a command; throws if it fails. */
export async function outputOf(command: string, args: readonly string[], env: object = {}): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  endWithThisProcess(child);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code]: unknown[] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${String(code)}`);
  return output;
}

interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
}

function scriptOf(name: string): string {
  return path.join(folder, 'processes', path.extname(name) === '' ? `${name}.ts` : name);
}

/** With BENCH_PROFILE=folder the service writes a CPU profile there when it ends. */
function profileFlags(name: string): string[] {
  const into = process.env['BENCH_PROFILE'];
  return into === undefined
    ? []
    : ['--cpu-prof', `--cpu-prof-dir=${into}`, `--cpu-prof-name=${name}-${Date.now()}.cpuprofile`];
}

async function untilAnswers(child: ChildProcess, port: number, log: string): Promise<void> {
  const deadlineMs = performance.now() + readyMs;
  while (performance.now() < deadlineMs && child.exitCode === null) {
    const response = await fetch(`http://127.0.0.1:${port}/livez`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await delay(20);
  }
  throw new Error(
    `${child.spawnargs.join(' ')} was not ready:\n${readFileSync(log, 'utf8').slice(-outputCharactersMax)}`,
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await gone;
  clearTimeout(impatience);
}
