// The doctor's checks of Redis: version, durability settings, memory, clock.
//
// Checks every primary of a Cluster. Reads settings with CONFIG or, if it is refused (by managed servers), with INFO as far
// as that goes; a value that cannot be read is a warning that names the missing permission.
import { Cluster } from 'ioredis';
import { keysOf, indexParts, type BrandQueue } from '../../redis/brand-queue.ts';
import { isNotPermitted, type RedisConnection } from '../../redis/connections.ts';
import { untilReady } from '../../redis/until-ready.ts';
import { LateError, within } from '../../async/deadline.ts';
import { ok, problem, warning, type Check } from './check.ts';

export interface RedisCheckOptions {
  readonly redis: RedisConnection;
  readonly queues: readonly BrandQueue[];
  readonly now: () => number;
}

const answerWithinMs = 4_000;
const skewWarningMs = 2_000;
/** Merchants refuse signatures that are further from their own time (Standard Webhooks). */
const skewProblemMs = 240_000;
const memoryWarningSeconds = 7 * 86_400;
const memoryProblemSeconds = 86_400;

export async function checkRedis({ redis, queues, now }: RedisCheckOptions): Promise<Check[]> {
  try {
    await untilReady(redis, answerWithinMs);
    await within(answerWithinMs, redis.time().catch(passRefusal));
    const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
    const lines: Check[] = [];
    for (const node of nodes) lines.push(...(await checkServer(node, nodes.length > 1, now)));
    return [...lines, ...(await within(answerWithinMs, checkMemory(redis, nodes, queues, now)))];
  } catch (error) {
    return [
      problem(
        'Redis',
        `It does not answer: ${reasonOf(error)}.`,
        'Start it, and check REDIS_URL. Until then callbacks go to the spool.',
      ),
    ];
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof LateError) return `no answer within ${answerWithinMs} ms`;
  return error instanceof Error ? error.message : String(error);
}

type Server = Pick<RedisConnection, 'info' | 'config' | 'time'>;

async function checkServer(server: Server, isOneOfSeveral: boolean, now: () => number): Promise<Check[]> {
  const text = await within(answerWithinMs, server.info().catch(passRefusal));
  const info = parseInfo(text ?? '');
  const suffix = isOneOfSeveral ? ` (port ${info.get('tcp_port') ?? '?'})` : '';
  const settings = await readSettings(server, info);
  return [
    ...(text === undefined ? [infoRefused] : [checkVersion(info), checkRole(info)]),
    ...settingNames.map((setting) => checkSetting(setting, settings.get(setting))),
    await checkClock(server, now),
  ].map((check) => ({ ...check, name: check.name + suffix }));
}

const infoRefused: Check = warning(
  'Redis permissions',
  'This Redis user may not run INFO, so the version, the role and the memory of the server are not known.',
  'Allow it with `+info` where you can (docs/deployment.md); nothing else needs it.',
);

/** Undefined for a missing permission; other errors are thrown. */
function passRefusal(error: unknown): undefined {
  if (!isNotPermitted(error)) throw error;
}

const settingNames = ['appendonly', 'appendfsync', 'maxmemory-policy'] as const;
type SettingName = (typeof settingNames)[number];
type Settings = ReadonlyMap<SettingName, string>;

async function readSettings(server: Server, info: ReadonlyMap<string, string>): Promise<Settings> {
  const settings = new Map<SettingName, string>();
  const enabled = info.get('aof_enabled');
  if (enabled !== undefined) settings.set('appendonly', enabled === '1' ? 'yes' : 'no');
  const policy = info.get('maxmemory_policy');
  if (policy !== undefined) settings.set('maxmemory-policy', policy);
  for (const name of settingNames) {
    try {
      const reply = await within(answerWithinMs, server.config('GET', name));
      const value = pairOf(reply, name);
      if (value !== undefined) settings.set(name, value);
    } catch {
      // Refused: the value from INFO stays, if there is one.
    }
  }
  return settings;
}

/** CONFIG GET returns a list in RESP2 and an object in RESP3. */
function pairOf(reply: unknown, name: string): string | undefined {
  if (Array.isArray(reply)) return reply[0] === name ? String(reply[1]) : undefined;
  const value: unknown = typeof reply === 'object' && reply !== null ? Reflect.get(reply, name) : undefined;
  return typeof value === 'string' ? value : undefined;
}

function checkVersion(info: ReadonlyMap<string, string>): Check {
  const name = 'Redis version';
  const valkey = info.get('valkey_version');
  const version = info.get('redis_version') ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const detail = valkey === undefined ? `Redis ${version}` : `Valkey ${valkey} (compatible with Redis ${version})`;
  if (major > 6 || (major === 6 && minor >= 2)) return ok(name, detail);
  return problem(name, detail, 'Upgrade to Redis 6.2 or Valkey 7.2, or newer: BullMQ needs it.');
}

function checkRole(info: ReadonlyMap<string, string>): Check {
  const name = 'Redis role';
  const role = info.get('role') ?? 'unknown';
  const detail = `${role}, ${info.get('connected_slaves') ?? '0'} replicas`;
  if (role === 'master') return ok(name, detail);
  const fix = 'REDIS_URL names a replica, which accepts no writes: name the primary, or use redis+sentinel://.';
  return problem(name, detail, fix);
}

interface DurableSetting {
  readonly wanted: string;
  /** The consequence of another value. */
  readonly risk: (value: string) => string;
  /** A value that is weaker than wanted, but acceptable. */
  readonly tolerated?: string;
}

const durable: Readonly<Record<SettingName, DurableSetting>> = {
  appendonly: {
    wanted: 'yes',
    risk: () => 'a restart of Redis loses what it acknowledged since the last snapshot',
  },
  appendfsync: {
    wanted: 'always',
    risk: (value) =>
      `a power failure loses ${value === 'everysec' ? 'about a second of' : 'many'} acknowledged callbacks`,
    tolerated: 'everysec',
  },
  'maxmemory-policy': {
    wanted: 'noeviction',
    risk: () => 'a full Redis silently deletes jobs and claims',
  },
};

function checkSetting(setting: SettingName, value: string | undefined): Check {
  const name = `Redis ${setting}`;
  const { wanted, risk, tolerated } = durable[setting];
  const line = `${setting} ${wanted}`;
  if (value === undefined)
    return warning(
      name,
      'It cannot be read: the server refuses CONFIG GET.',
      `Make sure with your provider that it is \`${line}\`.`,
    );
  if (value === wanted) return ok(name, value);
  const fix = `Set \`${line}\` (redis-cli CONFIG SET ${line}, then CONFIG REWRITE).`;
  return (value === tolerated ? warning : problem)(name, `${value}: ${risk(value)}.`, fix);
}

async function checkClock(server: Server, now: () => number): Promise<Check> {
  const name = 'clock';
  const before = now();
  const time = await within(answerWithinMs, server.time().catch(passRefusal));
  if (time === undefined) {
    const detail = 'It cannot be compared: this Redis user may not run TIME.';
    return warning(name, detail, 'Allow it with `+time`, and synchronize both clocks with NTP.');
  }
  const [seconds, microseconds] = time;
  const here = (before + now()) / 2;
  const skewMs = Math.round(here - (Number(seconds) * 1_000 + Number(microseconds) / 1_000));
  const detail = `This machine is ${Math.abs(skewMs)} ms ${skewMs < 0 ? 'behind' : 'ahead of'} Redis.`;
  if (Math.abs(skewMs) < skewWarningMs) return ok(name, detail);
  const fix = 'Synchronize both clocks with NTP: retries, sweeps and signatures depend on it.';
  return { name, status: Math.abs(skewMs) < skewProblemMs ? 'warning' : 'problem', detail, fix };
}

/** Extrapolates last hour's rate from the index, at the present average size of a callback. */
async function checkMemory(
  redis: RedisConnection,
  nodes: readonly Server[],
  queues: readonly BrandQueue[],
  now: () => number,
): Promise<Check[]> {
  const name = 'Redis memory';
  let usedBytes = 0;
  let maxBytes = 0;
  let isLimited = true;
  for (const node of nodes) {
    const text = await node.info('memory').catch(passRefusal);
    if (text === undefined) return []; // reported already
    const info = parseInfo(text);
    usedBytes += Number(info.get('used_memory') ?? 0);
    maxBytes += Number(info.get('maxmemory') ?? 0);
    isLimited &&= Number(info.get('maxmemory') ?? 0) > 0;
  }
  const used = `${toMegabytes(usedBytes)} MB in use`;
  if (!isLimited) {
    const fix =
      'Set maxmemory below the memory of the machine, so that a full Redis refuses writes instead of being killed.';
    return [warning(name, `${used}, maxmemory is not set.`, fix)];
  }
  const { lastHour, total } = await countCallbacks(redis, queues, now());
  const detail = `${used} of ${toMegabytes(maxBytes)} MB, ${lastHour} callbacks in the last hour`;
  const fix = 'Raise maxmemory, or lower RETAIN_COMPLETED and RETAIN_COMPLETED_MAX. A full Redis fills the spool next.';
  const freeBytes = maxBytes - usedBytes;
  if (freeBytes <= maxBytes * 0.05) return [problem(name, `${detail}: it is full.`, fix)];
  if (lastHour === 0) return [ok(name, `${detail}.`)];
  const bytesPerCallback = Math.max(usedBytes / Math.max(total, 1_000), 1_000);
  const seconds = (freeBytes / (lastHour * bytesPerCallback)) * 3_600;
  const reach = `${detail}: at this rate it is full in ${describeSeconds(seconds)}, if nothing expires.`;
  if (seconds < memoryProblemSeconds) return [problem(name, reach, fix)];
  if (seconds < memoryWarningSeconds) return [warning(name, reach, fix)];
  return [ok(name, reach)];
}

async function countCallbacks(redis: RedisConnection, queues: readonly BrandQueue[], nowMs: number) {
  let lastHour = 0;
  let total = 0;
  for (const queue of queues) {
    for (const part of indexParts) {
      lastHour += await redis.zcount(keysOf.index(queue, part), nowMs - 3_600_000, '+inf');
      total += await redis.zcard(keysOf.index(queue, part));
    }
  }
  return { lastHour, total };
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}

function toMegabytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}

function describeSeconds(seconds: number): string {
  if (seconds < 3_600) return `${Math.max(Math.round(seconds / 60), 1)} minutes`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3_600)} hours`;
  return `${Math.round(seconds / 86_400)} days`;
}
