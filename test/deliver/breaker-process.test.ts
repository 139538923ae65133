// The breaker as one process sees it: what it asks Redis, what it says of each failure, and what it does without an answer.
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { AttemptResult } from '../../src/deliver/attempt.ts';
import { createBreaker, isOutage, type Breaker } from '../../src/deliver/breaker/breaker.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

let server: TestRedis;
let redis: Redis;
let queue: BrandQueue;
let breaker: Breaker;
let lines: Record<string, unknown>[];
let phases: string[];
let count = 0;

beforeAll(async () => {
  server = await startRedis({ durable: false });
});
afterAll(async () => server.stop());
beforeEach(() => {
  count += 1;
  redis = new Redis(server.url);
  queue = brandQueue('default', { QUEUE_NAME: 'callbacks', QUEUE_PREFIX: `{process-${count}}` });
  lines = [];
  phases = [];
  breaker = createBreaker({
    queue,
    redis,
    log: createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
    onPhase: (phase) => phases.push(phase),
    settings: { failures: 3, firstWaitMs: 60_000, waitMaxMs: 600_000 },
    timeoutMs: 5_000,
    concurrency: 4,
  });
});
afterEach(() => {
  breaker.stop();
  redis.disconnect();
});

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

/** As if it had been held for long enough that what begins now is a probe. */
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
  expect(events()).toEqual(['breaker.opened']); // said once
  expect(await redis.hget(`${queue.base}:meta`, 'duration')).toBe('7000');
});

test('a success calls Redis only if there is something to clear or to close', async () => {
  await breaker.success(0); // nothing is known yet
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
  ['an answer that asks to be spared', '1', answered(503, '60')],
  ['no answer', '1', failed],
] as const)('after %s to a probe the next round is of %s', async ([, round, result]) => {
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
