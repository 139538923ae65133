// A private Redis: a real server on the loopback address with the settings that the product's promises need (every write
// synced before its reply, no eviction). It belongs to this process and ends with it.
//
// Ready when it answers PING. Fails with the server's last output.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { endWithThisProcess } from './end-with-this-process.ts';
import type { RedisServer } from './redis-server.ts';

export interface PrivateRedisOptions {
  readonly server: RedisServer;
  readonly dir: string;
  /** Default: a free port. */
  readonly port?: number | undefined;
  /** Further arguments of redis-server; they override the ones set here. */
  readonly args?: readonly string[] | undefined;
  /** False: nothing is written to disk. */
  readonly durable?: boolean | undefined;
}

export type PrivateRedis = Awaited<ReturnType<typeof startPrivateRedis>>;

const portAttempts = 5;
const readyMs = 20_000;
const stopMs = 5_000;
const outputCharactersMax = 8_000;

export async function startPrivateRedis(options: PrivateRedisOptions) {
  await mkdir(options.dir, { recursive: true });
  let port = options.port ?? (await freePort());
  let running = await start(options, port);
  for (let attempt = 1; running.failed && options.port === undefined && attempt < portAttempts; attempt += 1) {
    port = await freePort(); // another process took the port first
    running = await start(options, port);
  }
  if (running.failed) throw new Error(`redis-server did not start:\n${running.output()}`);
  let child = running.child;

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir: options.dir,
    get pid(): number {
      return child.pid ?? -1;
    },
    /** SIGKILL resolves when the process has ended; SIGSTOP and SIGCONT freeze and thaw it. */
    async kill(signal: NodeJS.Signals): Promise<void> {
      const gone = exitOf(child);
      child.kill(signal);
      if (signal === 'SIGKILL') await gone;
    },
    /** Stops it gracefully; kills it after some seconds. */
    async stop(): Promise<void> {
      await end(child);
    },
    /** Restarts it on the same port with the same data. If it still runs, stops it first. */
    async restart(): Promise<void> {
      await end(child);
      const restarted = await start(options, port);
      if (restarted.failed) throw new Error(`redis-server did not start again:\n${restarted.output()}`);
      child = restarted.child;
    },
  };
}

async function start({ server, dir, args = [], durable = true }: PrivateRedisOptions, port: number) {
  const durability = durable
    ? ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    : ['--appendonly', 'no', '--save', ''];
  const child = spawn(
    server.command,
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir]
      .concat('--maxmemory-policy', 'noeviction', '--daemonize', 'no', durability)
      .concat(args),
    // In its own process group: Ctrl-C in the terminal signals only this process, which stops its children gracefully.
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...server.env }, detached: true },
  );
  endWithThisProcess(child);
  let output = '';
  const collect = (text: unknown) => {
    output = `${output}${String(text)}`.slice(-outputCharactersMax);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.on('error', collect);
  const failed = !(await answersPing(child, port));
  if (failed) await end(child);
  return { child, failed, output: () => output };
}

async function answersPing(child: ChildProcess, port: number): Promise<boolean> {
  const deadlineMs = performance.now() + readyMs;
  while (hasNotEnded(child) && performance.now() < deadlineMs) {
    // Another server on this port would also answer; ours has then ended, because the port was taken.
    if (await ping(port)) return hasNotEnded(child);
    await delay(5);
  }
  return false;
}

/** A server that requires a password is ready, too; one that still loads its data is not. */
function ping(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once('data', (answer) => {
      resolve(/^(\+PONG|-NOAUTH)/.test(String(answer)));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (!hasNotEnded(child)) return;
  const gone = exitOf(child);
  child.kill('SIGCONT'); // a frozen process does not react to SIGTERM
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await gone;
  clearTimeout(impatience);
}

function hasNotEnded(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function exitOf(child: ChildProcess): Promise<void> {
  if (hasNotEnded(child)) await once(child, 'exit');
}

const portMin = 10_000;
const portMax = 32_000;
let lastPort: number | undefined;

/**
 * A free port below the ephemeral range: otherwise an outgoing connection could take the port while a server is down
 * between two starts. This process keeps the port until it ends, because the server may start to listen seconds later, or
 * again after a stop.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const next = lastPort === undefined ? randomInt(portMin, portMax) : lastPort + 1;
    lastPort = next < portMax ? next : portMin;
    const port = lastPort; // concurrent callers continue with the next port
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/**
 * Binds the UDP port of that number, which nothing here uses: so no other process of the tests can claim it, and the
 * system frees it when this process ends, however it ends.
 */
function claim(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4').unref();
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code !== 'EADDRINUSE'); // if UDP ports cannot be bound, every port counts as free
    });
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
  });
}

export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
