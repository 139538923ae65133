// The breaker respects an operator's limit and a clock that was set back; and the order in which it releases callbacks.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { byHand, createBreakerAt, settings, startMs, type BreakerAt } from './breaker-at.ts';

const { server } = await withRedis({ durable: false });
let breaker: BreakerAt;

beforeEach(async () => {
  breaker = await createBreakerAt(server.url);
});
afterEach(() => breaker.close());

const hourMs = 3_600_000;
const probe = { at: 20_000 };
const setLimiter = async (ms: number, count = '1') => breaker.redis.set(breaker.key('limiter'), count, 'PX', ms);

test('a limit that an operator sets while it is open is saved, caps the probes, and applies when it is closed', async () => {
  await breaker.open();
  await breaker.setLimit(3, 9_000);
  await breaker.observe({ at: 100 });
  expect(await breaker.limit()).toEqual(['1', '17000']);
  expect(await breaker.state()).toMatchObject({ theirMax: '3', theirDuration: '9000', round: '1' });
  for (const at of [20_000, 40_000, 60_000]) await breaker.fail(`probe at ${at}`, { at, hasAnswered: true });
  expect(await breaker.state()).toMatchObject({ round: '3', waitMs: '3000' });
  expect(await breaker.limit()).toEqual(['3', '17000']);
  await breaker.succeed({ at: 80_000 });
  expect(await breaker.limit()).toEqual(['3', '9000']);
  expect(await breaker.held()).toEqual({ count: '1', ms: 9_000 });
});

test.for([
  ['its maximum', { max: 2 }, { theirMax: '2', theirDuration: '17000' }],
  ['its duration', { duration: 18_000 }, { theirMax: '1', theirDuration: '18000' }],
] as const)('a limit whose %s an operator changed is kept', async ([, change, noted]) => {
  await breaker.open();
  await breaker.redis.hset(breaker.key('meta'), change);
  await breaker.observe();
  expect(await breaker.state()).toMatchObject(noted);
});

test('a limit that an operator removes while it is open stays removed', async () => {
  await breaker.setLimit(20, 1_000);
  await breaker.open();
  await breaker.redis.hdel(breaker.key('meta'), 'max', 'duration');
  await breaker.observe({ at: 100 });
  expect(await breaker.limit()).toEqual(['1', '17000']);
  await breaker.succeed({ ...probe, concurrency: 1 });
  expect(await breaker.limit()).toEqual([null, null]);
  expect(await breaker.held()).toBeUndefined();
});

test('a lower limit that an operator sets during recovery ends the recovery', async () => {
  await breaker.open();
  await breaker.succeed(probe);
  await breaker.setLimit(4, 2_000);
  expect(await breaker.observe(probe)).toMatchObject({ phase: 'closed' });
  expect(await breaker.limit()).toEqual(['4', '2000']);
});

test('with a higher limit it recovers at the same pace', async () => {
  await breaker.open();
  await breaker.succeed(probe);
  await breaker.setLimit(100, 1_000);
  expect(await breaker.observe(probe)).toMatchObject({ phase: 'ramp' });
  expect(await breaker.limit()).toEqual(['2', '3000']);
  expect(await breaker.state()).toMatchObject({ theirMax: '100', theirDuration: '1000' });
});

test.for([
  ['no numbers', 'many', 'long'],
  ['a number and an invalid duration', '5', 'long'],
  ['a number without a duration', '5', undefined],
] as const)('a limit of %s counts as no limit', async ([, max, duration]) => {
  await breaker.redis.hset(breaker.key('meta'), duration === undefined ? { max } : { max, duration });
  await breaker.open();
  expect(await breaker.state()).not.toHaveProperty('theirMax');
});

test('the limit that the breaker of an earlier version set does not count as an operator’s', async () => {
  await breaker.setLimit(1, 17_000);
  await breaker.redis.hset(breaker.key('breaker'), { phase: 'open', heldAt: startMs, waitMs: 1_000 });
  await breaker.observe({ at: 100 });
  expect(await breaker.state()).not.toHaveProperty('theirMax');
  await breaker.fail('untried', { at: 10_000, hasAnswered: true });
  expect(await breaker.state()).toMatchObject({ round: '2', waitMs: '1000' });
  await breaker.succeed({ ...probe, concurrency: 1 });
  expect(await breaker.limit()).toEqual([null, null]);
});

test('a queue that an operator holds stays held until that time', async () => {
  await setLimiter(hourMs, byHand);
  await breaker.open();
  expect(await breaker.held()).toEqual({ count: byHand, ms: hourMs });
  await breaker.succeed(probe);
  await breaker.observe({ at: 21_000 });
  expect(await breaker.held()).toEqual({ count: byHand, ms: hourMs });
  for (let at = 22_000; at <= 26_000; at += 1_000) await breaker.observe({ at });
  expect(await breaker.state()).toEqual({});
  expect(await breaker.held()).toEqual({ count: byHand, ms: hourMs });
});

test('a queue that an operator holds only briefly is held for the wait of the breaker', async () => {
  await setLimiter(500, byHand);
  await breaker.open();
  expect(await breaker.held()).toEqual({ count: '1', ms: settings.firstWaitMs });
});

test.for([
  ['open', settings.windowMs],
  ['ramp', 3_000],
] as const)('a hold too far in the future, because the clock was set back, is shortened (%s)', async ([phase, ms]) => {
  await breaker.open();
  if (phase === 'ramp') await breaker.succeed(probe);
  await setLimiter(hourMs);
  await breaker.observe(probe);
  expect(await breaker.held()).toEqual({ count: '1', ms });
  await setLimiter(2_000);
  await breaker.observe(probe);
  expect(await breaker.held()).toEqual({ count: '1', ms: 2_000 });
});

test("while it is closed, a hold is shortened to the operator's limit if there is one, and otherwise unchanged", async () => {
  await setLimiter(hourMs);
  await breaker.observe();
  expect(await breaker.held()).toEqual({ count: '1', ms: hourMs });
  await breaker.setLimit(5, 9_000);
  await breaker.observe();
  expect(await breaker.held()).toEqual({ count: '1', ms: 9_000 });
});

test('a wait that an operator makes longer than the probe window is not shortened', async () => {
  await breaker.setLimit(1, 60_000);
  await breaker.open();
  await setLimiter(hourMs);
  await breaker.observe();
  expect(await breaker.held()).toEqual({ count: '1', ms: 60_000 });
});

test('after the clock was set back an hour while it was open, the next probe that succeeds lets the backlog flow', async () => {
  await breaker.open();
  await breaker.observe({ at: -hourMs });
  expect(await breaker.succeed({ at: -hourMs + 20_000, tookMs: 50 })).toMatchObject({ phase: 'ramp' });
});

test('a turn too far in the future, because the clock was set back, restarts', async () => {
  const furthest = (5 + 1 + 1) * settings.longestWaitMs;
  await breaker.open();
  await breaker.redis.hset(breaker.key('breaker'), 'turnAt', startMs + furthest);
  expect(await breaker.fail('f')).toMatchObject({ restMs: furthest + settings.firstWaitMs });
  await breaker.redis.hset(breaker.key('breaker'), 'turnAt', startMs + furthest + 1);
  expect(await breaker.fail('f')).toMatchObject({ restMs: settings.firstWaitMs });
});

test('an overdue turn starts now', async () => {
  await breaker.open();
  expect(await breaker.fail('a', { at: 5_000, tookMs: 5_000 })).toMatchObject({ verdict: 'straggler', restMs: 1_000 });
});

const waiting = async () => breaker.redis.lrange(breaker.key('wait'), 0, -1);
const add = async (...jobIds: string[]) => breaker.redis.lpush(breaker.key('wait'), ...jobIds);

test('at the end of its turn, the latest untried callback is next', async () => {
  const { redis, key } = breaker;
  await breaker.open();
  await redis.sadd(key('own'), 'own');
  await add('oldest', 'older', 'new', 'a', 'own', '0:1234');
  await setLimiter(900);
  await breaker.observe();
  expect(await waiting()).toEqual(['0:1234', 'own', 'a', 'new', 'older', 'oldest']);
  await setLimiter(250);
  await breaker.observe();
  expect(await waiting()).toEqual(['0:1234', 'own', 'a', 'older', 'oldest', 'new']);
  await add('newest');
  await setLimiter(250);
  await breaker.observe();
  expect((await waiting()).at(-1)).toBe('new'); // one for each probe
  await redis.rpop(key('wait'));
  await breaker.fail('new', probe);
  await setLimiter(250);
  await breaker.observe(probe);
  expect((await waiting()).at(-1)).toBe('oldest'); // now the longest-waiting one is next
  await breaker.fail('oldest', { at: 40_000 });
  await setLimiter(250);
  await breaker.observe({ at: 40_000 });
  expect((await waiting()).at(-1)).toBe('newest');
});

test('nothing is moved after the hold is over, nor anything beyond the fifty latest', async () => {
  await breaker.open();
  await add('oldest', 'untried', ...Array.from({ length: 50 }, () => 'a'));
  await setLimiter(250);
  await breaker.observe();
  expect((await waiting()).at(-1)).toBe('oldest');
  await breaker.redis.lpop(breaker.key('wait'));
  await breaker.redis.del(breaker.key('limiter'));
  await breaker.observe();
  expect((await waiting()).at(-1)).toBe('oldest');
  await setLimiter(250);
  await breaker.observe();
  expect((await waiting()).at(-1)).toBe('untried');
});
