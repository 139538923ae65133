// The breaker in one process: its calls to Redis, its verdict on each failure, and its behaviour without an answer.
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AttemptResult } from '../../src/deliver/attempt.ts';
import {
  createBreaker,
  defaultBreakerSettings,
  isOutage,
  type Breaker,
  type BreakerDependencies,
} from '../../src/deliver/breaker/breaker.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';

const { server } = await withRedis({ durable: false });
let redis: Redis;
let queue: BrandQueue;
let breaker: Breaker;
let lines: Record<string, unknown>[];
let phases: string[];
let count = 0;

beforeEach(() => {
  count += 1;
  redis = new Redis(server.url);
  queue = brandQueue('default', { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: `{process-${count}}` });
  lines = [];
  phases = [];
  breaker = createBreaker(dependencies());
});
afterEach(() => {
  vi.restoreAllMocks();
  breaker.stop();
  redis.disconnect();
});

function dependencies(settings = { failures: 3, firstWaitMs: 60_000, waitMaxMs: 600_000 }): BreakerDependencies {
  return {
    queue,
    redis,
    log: createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
    onPhase: (phase) => phases.push(phase),
    settings,
    timeoutMs: 5_000,
    concurrency: 4,
  };
}

const failed: AttemptResult = { kind: 'error', error: 'timeout' };
const answered = (status: number, retryAfter?: string): AttemptResult => ({
  kind: 'answered',
  status,
  retryAfter,
  answer: '',
});
const events = () => lines.map(({ event }) => event);

async function open(jobIds = ['a', 'b', 'c']): Promise<void> {
  for (const jobId of jobIds) await breaker.failure(jobId, 0, failed);
}

/** Simulates a hold long enough that the next attempt is a probe. */
const later = () => redis.hset(keysOf.breaker(queue), 'heldAt', Date.now() - 600_000);

/** How often Redis was asked. */
async function asked(): Promise<number> {
  const stats = await redis.info('commandstats');
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

test('failures are counted until enough callbacks fail; then failing ones rest, and the log and the metric show it', async () => {
  expect(await breaker.failure('a', 0, failed)).toEqual({ kind: 'counted' });
  expect(await breaker.failure('b', 0, failed)).toEqual({ kind: 'counted' });
  expect(lines).toEqual([]);
  expect(await breaker.failure('c', 0, failed)).toEqual({ kind: 'straggler', restMs: 60_000 });
  expect(lines).toMatchObject([{ event: 'breaker.opened', level: 'warn', brand: 'default' }]);
  expect(phases).toEqual(['closed', 'closed', 'open']);
  await later();
  expect(await breaker.failure('d', 0, failed)).toMatchObject({ kind: 'probe' });
  expect(events()).toEqual(['breaker.opened']); // logged once
  expect(await redis.hget(`${queue.base}:meta`, 'duration')).toBe('7000');
});

test('a success calls Redis only if there is something to clear or to close', async () => {
  await breaker.success(0); // the state is unknown yet
  const before = await asked();
  await breaker.success(0);
  expect(await asked()).toBe(before);
  await breaker.failure('a', 0, failed);
  await breaker.success(0);
  expect(await asked()).toBe(before + 2);
  expect(await redis.exists(keysOf.breakerFailures(queue))).toBe(0);
  await breaker.success(0);
  expect(await asked()).toBe(before + 2);
  await open(['x', 'y', 'z']);
  await redis.del(keysOf.breakerFailures(queue));
  await later();
  await breaker.success(0);
  expect(events()).toEqual(['breaker.opened', 'breaker.recovering']);
  expect(lines.at(-1)).toMatchObject({ level: 'info' });
});

test.for([
  ['an answer', '2', answered(500)],
  ['too many requests', '1', answered(429)],
  ['an answer with Retry-After', '1', answered(503, '60')],
  ['no answer', '1', failed],
] as const)('after %s to a probe the next round has %s', async ([, round, result]) => {
  await open();
  await later();
  await breaker.failure('untried', 0, result);
  expect(await redis.hget(keysOf.breaker(queue), 'round')).toBe(round);
});

test('if Redis does not answer, each failure counts, and that is logged once', async () => {
  const key = keysOf.breakerFailures(queue);
  await redis.set(key, 'of another type');
  for (let time = 0; time < 3; time += 1) expect(await breaker.failure('a', 0, failed)).toEqual({ kind: 'counted' });
  expect(events()).toEqual(['breaker.unknown']);
  await redis.del(key);
  await breaker.failure('a', 0, failed);
  await redis.set(key, 'of another type');
  await breaker.failure('a', 0, failed);
  expect(events()).toEqual(['breaker.unknown', 'breaker.unknown']);
});

test('a new process notices that it is open, drives its recovery, and notices that it is closed', async () => {
  await open();
  await later();
  await breaker.success(0);
  lines.splice(0);
  breaker.start();
  await until(() => events().includes('breaker.closed'), { timeoutMs: 20_000 });
  expect(events()).toEqual(['breaker.closed']);
  expect(await redis.exists(keysOf.breaker(queue))).toBe(0);
});

test('a process that starts while it is closed logs nothing', async () => {
  breaker.start();
  await until(() => phases.length >= 2);
  expect(lines).toEqual([]);
});

test('by default five different callbacks open it, and the first probe comes a second later', async () => {
  breaker = createBreaker(dependencies(defaultBreakerSettings));
  for (const jobId of ['a', 'b', 'c', 'd', 'a'])
    expect(await breaker.failure(jobId, 0, failed)).toEqual({ kind: 'counted' });
  expect(await breaker.failure('e', 0, failed)).toEqual({ kind: 'straggler', restMs: 1_000 });
});

test('a process that starts while it is open reports it', async () => {
  await open();
  lines.splice(0);
  phases.splice(0);
  const other = createBreaker(dependencies());
  other.start();
  await until(() => phases.length > 0);
  other.stop();
  expect(events()).toEqual(['breaker.opened']);
  expect(phases[0]).toBe('open');
});

test('the first success of a process clears the failures that another one saw', async () => {
  await breaker.failure('a', 0, failed);
  await createBreaker(dependencies()).success(0);
  expect(await redis.exists(keysOf.breakerFailures(queue))).toBe(0);
});

test('a success closes an open breaker whose failures have expired', async () => {
  await open();
  await redis.del(keysOf.breakerFailures(queue));
  await later();
  breaker.start();
  const looked = phases.length;
  await until(() => phases.length > looked); // it learns that no failure is stored
  breaker.stop();
  await breaker.success(0);
  expect(events()).toEqual(['breaker.opened', 'breaker.recovering']);
});

/** The waits between its checks, with the phase. */
function waits() {
  const waited: { phase: string | undefined; ms: number }[] = [];
  const setTimer = globalThis.setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((callback, ms = 0) => {
    if (ms >= 100 && ms < 600) waited.push({ phase: phases.at(-1), ms });
    return setTimer(callback, ms);
  });
  return waited;
}

test('it checks every 500 ms while it is closed, and every 100 ms while it is not', async () => {
  const waited = waits();
  breaker.start();
  await until(() => waited.length >= 2);
  await open();
  await until(() => waited.some(({ phase }) => phase === 'open'));
  await later();
  await redis.del(keysOf.breakerResting(queue));
  await breaker.success(0);
  await until(() => waited.some(({ phase }) => phase === 'ramp'));
  for (const { phase, ms } of waited) expect(ms).toBe(phase === 'closed' ? 500 : 100);
});

test('it checks every 100 ms while callbacks rest that it may requeue', async () => {
  const waited = waits();
  const resting = Array.from({ length: 401 }, (_, index) => `resting-${index}`);
  await redis.sadd(keysOf.breakerResting(queue), ...resting);
  breaker.start();
  await until(() => waited.length >= 3);
  expect(waited.slice(0, 3).map(({ ms }) => ms)).toEqual([100, 100, 500]); // 200 at a time
});

test('once stopped it does not check, not even if a check was due', async () => {
  const before = await asked();
  breaker.start();
  breaker.stop();
  await delay(1); // timers of equal length fire in the order in which they were set
  expect(await asked()).toBe(before);
});

test('a check in flight when it is stopped is the last one', async () => {
  const other = new Redis(server.url);
  await other.client('PAUSE', 60_000, 'WRITE');
  const waited = waits();
  breaker.start();
  await until(async () => (await other.info('clients')).includes('blocked_clients:1'));
  breaker.stop();
  await other.client('UNPAUSE');
  other.disconnect();
  await until(() => phases.length > 0);
  await redis.ping();
  expect(waited).toEqual([]);
});

test.for([
  [answered(500), true],
  [answered(599), true],
  [answered(429), true],
  [answered(499), false],
  [answered(430), false],
  [answered(404), false],
  [failed, true],
  [{ kind: 'permanent', error: 'x' }, false],
  [{ kind: 'returned' }, false],
] as const)('whether %j indicates an outage of the destination: %s', ([result, isOne]) => {
  expect(isOutage(result)).toBe(isOne);
});
