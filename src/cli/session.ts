// The session of a command: the configuration, Redis, a log of warnings and errors, and the output.
//
// A command gets a session, does its work and returns an exit code; connections are always closed. If the configuration is
// invalid or Redis is down, the session ends with a sentence and a code, without a stack.
import { userInfo } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { brandQueue, type BrandQueue } from '../redis/brand-queue.ts';
import { createRedis, type RedisConnection } from '../redis/connections.ts';
import { untilReady } from '../redis/until-ready.ts';
import { LateError } from '../async/deadline.ts';
import { defaultBrand } from '../config/brand-values.ts';
import { loadConfig, readEnvironment, type Config } from '../config/config.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { createOutput, printable, type Output } from './output.ts';

export interface Session {
  readonly config: Config;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly log: Log;
  readonly output: Output;
  /** Appears in the audit trail. */
  readonly actor: { readonly name: string; readonly address: string };
  /** A ready connection. Throws `CommandError` if Redis does not answer in time. */
  readonly redis: () => Promise<RedisConnection>;
  /** Called at the end, latest first. */
  readonly onEnd: (close: () => unknown) => void;
}

const connectWithinMs = 4_000;
const commandTimeoutMs = 10_000;

export async function runSession(command: Command, act: (session: Session) => Promise<ExitCode>): Promise<void> {
  const output = createOutput({ json: command.optsWithGlobals()['json'] === true });
  try {
    process.exitCode = await actIn(command, output, act);
  } catch (error) {
    output.complain(String(error)); // a bug, whose stack follows
    throw error;
  } finally {
    output.end();
  }
}

/** The action of a command: `act` gets the session, then the command's arguments and options. */
export function inSession<Args extends unknown[]>(act: (session: Session, ...args: Args) => Promise<ExitCode>) {
  return function (this: Command, ...args: Args): Promise<void> {
    return runSession(this, (session) => act(session, ...args));
  };
}

async function actIn(
  command: Command,
  output: Output,
  act: (session: Session) => Promise<ExitCode>,
): Promise<ExitCode> {
  // The role `reconcile` needs the fewest variables; a command that needs more checks them itself.
  const loaded = loadConfig(readEnvironment(), ['reconcile']);
  if ('problems' in loaded) {
    output.complain(loaded.problems.join('\n'));
    return exitCodes.config;
  }
  const { config } = loaded;
  const brand: unknown = command.opts()['brand'];
  if (typeof brand === 'string' && !config.brands.has(brand)) {
    output.complain(`There is no brand ${printable(brand)} here, only: ${[...config.brands.keys()].join(', ')}`);
    return exitCodes.usage;
  }
  const log = createLog({ level: 'silent', destination: { write: () => undefined } });
  const closers: (() => unknown)[] = [];
  let connection: Promise<RedisConnection> | undefined;
  const session: Session = {
    config,
    queues: new Map([...config.brands.keys()].map((brand) => [brand, brandQueue(brand, config)])),
    log,
    output,
    actor: { name: `cli:${userName()}`, address: 'local' },
    redis: () => (connection ??= connect(config, log, closers)),
    onEnd: (close) => closers.push(close),
  };
  try {
    return await act(session);
  } catch (error) {
    const ending = endingOf(error) ?? (await lostRedis(config, connection));
    if (ending === undefined) throw error;
    output.complain(ending.says);
    return ending.code;
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/** Errors that are not bugs get their own message and exit code. */
function endingOf(error: unknown): { says: string; code: ExitCode } | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof CommandError) return { says: error.message, code: exitCodes[error.code] };
  if ('code' in error && error.code === 'BAD_CURSOR') return { says: error.message, code: exitCodes.usage };
  // Redis's own errors: NOAUTH, NOPERM, OOM, LOADING, ...
  if (error.name === 'ReplyError') return { says: `Redis refuses: ${error.message}`, code: exitCodes.unavailable };
  return undefined;
}

/** Connection errors have no common type, so Redis is asked again. */
async function lostRedis(config: Config, connection: Promise<RedisConnection> | undefined) {
  if (connection === undefined) return undefined;
  const redis = await connection;
  const asked = redis.exists(`${brandQueue(defaultBrand, config).base}:meta`).then(
    () => true,
    () => false,
  );
  if (await Promise.race([asked, delay(connectWithinMs, false, { ref: false })])) return undefined;
  const says = `The connection to Redis was lost during the work (${redisName(config)}). What was done before remains done.`;
  return { says, code: exitCodes.unavailable };
}

async function connect(config: Config, log: Log, closers: (() => unknown)[]): Promise<RedisConnection> {
  const redis = createRedis(config.redis, { kind: 'producer', commandTimeoutMs }, 'cli', log);
  closers.push(() => redis.disconnect());
  try {
    await untilReady(redis, connectWithinMs);
    return redis;
  } catch (cause) {
    const where = `${redisName(config)}: ${reasonOf(cause)}`;
    const message = `Redis does not answer (${where}). Is it running, and is REDIS_URL right?`;
    throw new CommandError('unavailable', message, { cause });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof LateError || !(error instanceof Error)) return 'no answer';
  return 'code' in error ? String(error.code) : error.message;
}

/** Without user and password. */
function redisName({ redis }: Config): string {
  const endpoints = redis.kind === 'standalone' ? [redis.endpoint] : redis.endpoints;
  return endpoints.map(({ host, port }) => `${host}:${port}`).join(', ');
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown'; // a container's user need not have a name
  }
}
