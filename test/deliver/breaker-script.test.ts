// The breaker's reaction to each outcome, step by step, at given times. breaker.test.ts has the merchant's view.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withRedis } from '../support/with-redis.ts';
import { createBreakerAt, memoryMs, settings, startMs, type BreakerAt } from './breaker-at.ts';

const { server } = await withRedis({ durable: false });
let breaker: BreakerAt;

beforeEach(async () => {
  breaker = await createBreakerAt(server.url);
});
afterEach(() => breaker.close());

const { firstWaitMs } = settings;
/** Put into a phase in which a probe may have begun. */
const later = { at: 2_000 };

test('the fifth failing callback opens it for the first wait; the four before are counted', async () => {
  for (const [index, jobId] of ['a', 'b', 'c', 'd'].entries())
    expect(await breaker.fail(jobId)).toEqual({
      phase: 'closed',
      failures: index + 1,
      verdict: 'counted',
      restMs: 0,
      resting: 0,
    });
  expect(await breaker.state()).toEqual({});
  expect(await breaker.fail('e')).toEqual({
    phase: 'open',
    failures: 5,
    verdict: 'straggler',
    restMs: firstWaitMs,
    resting: 1,
  });
  expect(await breaker.state()).toEqual({
    phase: 'open',
    openedAt: String(startMs),
    heldAt: String(startMs),
    waitMs: '1000',
    round: '1',
    turn: 'latest',
    turnAt: String(startMs + firstWaitMs),
    setMax: '1',
    setDuration: '17000',
  });
  expect(await breaker.limit()).toEqual(['1', '17000']);
  expect(await breaker.held()).toEqual({ count: '1', ms: firstWaitMs });
  expect(await breaker.redis.smembers(breaker.key('resting'))).toEqual(['e']);
});

test('one callback that fails five times does not open it, and is forgotten after the failure memory', async () => {
  for (let time = 0; time < 5; time += 1)
    expect(await breaker.fail('a')).toEqual({
      phase: 'closed',
      failures: 1,
      verdict: 'counted',
      restMs: 0,
      resting: 0,
    });
  const leftMs = await breaker.redis.pttl(breaker.key('failures'));
  expect(leftMs).toBeGreaterThan(memoryMs - 5_000);
  expect(leftMs).toBeLessThanOrEqual(memoryMs);
});

test('observing a closed one changes nothing', async () => {
  expect(await breaker.observe()).toEqual({ phase: 'closed', failures: 0, verdict: '', restMs: 0, resting: 0 });
  expect(await breaker.redis.exists(breaker.key('breaker'), breaker.key('meta'), breaker.key('limiter'))).toBe(0);
});

test('an attempt that began before the queue was held is a straggler: it rests in turn, and the wait stays', async () => {
  await breaker.open();
  expect(await breaker.fail('f', { at: 900, tookMs: 401 })).toEqual({
    phase: 'open',
    failures: 6,
    verdict: 'straggler',
    restMs: 1_100,
    resting: 2,
  });
  expect(await breaker.fail('g', { at: 900, tookMs: 401 })).toEqual({
    phase: 'open',
    failures: 7,
    verdict: 'straggler',
    restMs: 2_100,
    resting: 3,
  });
  expect(await breaker.state()).toMatchObject({ waitMs: '1000', heldAt: String(startMs), turn: 'latest' });
  expect(await breaker.succeed({ at: 900, tookMs: 401 })).toMatchObject({ phase: 'open', failures: 0 });
});

test('an attempt that began half a wait later is a probe', async () => {
  await breaker.open();
  expect(await breaker.fail('f', { at: 900, tookMs: 400 })).toMatchObject({
    phase: 'open',
    failures: 6,
    verdict: 'probe',
  });
  expect(await breaker.state()).toMatchObject({ heldAt: String(startMs + 900) });
});

test('a probe without an answer doubles the wait, and the interval between resting callbacks, up to the maximum', async () => {
  await breaker.open();
  const waits: (string | undefined)[] = [];
  for (let probe = 1; probe <= 5; probe += 1) {
    expect(await breaker.fail(`probe${probe}`, { at: probe * 20_000 })).toMatchObject({
      phase: 'open',
      failures: 5 + probe,
      verdict: 'probe',
    });
    const { waitMs, turnMs, round } = await breaker.state();
    expect([round, turnMs]).toEqual(['1', waitMs]);
    expect(await breaker.held()).toEqual({ count: '1', ms: Number(waitMs) });
    waits.push(waitMs);
  }
  expect(waits).toEqual(['2000', '4000', '8000', '10000', '10000']);
  expect(await breaker.state()).toMatchObject({ openedAt: String(startMs), turn: 'longest' });
  expect(await breaker.fail('straggler', { at: 100_000 })).toMatchObject({
    phase: 'open',
    failures: 11,
    verdict: 'straggler',
    restMs: 20_000,
    resting: 7,
  });
});

test('if the merchant answers untried callbacks, each round doubles, after the same wait', async () => {
  await breaker.open();
  const rounds: (string | undefined)[] = [];
  for (let probe = 1; probe <= 6; probe += 1) {
    await breaker.fail(`probe${probe}`, { at: probe * 20_000, hasAnswered: true });
    const { round, waitMs, turnMs } = await breaker.state();
    expect([waitMs, turnMs]).toEqual(['1000', undefined]);
    expect(await breaker.limit()).toEqual([round, '17000']);
    expect(await breaker.held()).toEqual({ count: round, ms: firstWaitMs });
    rounds.push(round);
  }
  expect(rounds).toEqual(['2', '4', '8', '16', '32', '50']);
});

test('an answer to a callback that failed before changes neither wait nor round; resting callbacks are requeued more slowly', async () => {
  await breaker.open();
  await breaker.fail('f', { at: 20_000, hasAnswered: true });
  expect(await breaker.fail('e', { at: 40_000, hasAnswered: true })).toEqual({
    phase: 'open',
    failures: 6,
    verdict: 'probe',
    restMs: 2_000,
    resting: 2,
  });
  expect(await breaker.state()).toMatchObject({ waitMs: '1000', round: '2', turnMs: '2000' });
});

test('after a successful probe two pass in the first second, and twice as many in each next one', async () => {
  await breaker.open();
  expect(await breaker.succeed(later)).toEqual({ phase: 'ramp', failures: 0, verdict: '', restMs: 0, resting: 0 });
  expect(await breaker.held()).toBeUndefined();
  expect(await breaker.redis.exists(breaker.key('marker'))).toBe(1); // for the one that rested
  const rates = [await breaker.limit()];
  for (let second = 1; second <= 4; second += 1) {
    const dueAt = 2_000 + second * 1_000;
    expect(await breaker.observe({ at: dueAt - 1 })).toMatchObject({ phase: 'ramp' });
    expect(await breaker.limit()).toEqual(rates.at(-1));
    await breaker.redis.set(breaker.key('limiter'), 7);
    expect(await breaker.observe({ at: dueAt })).toMatchObject({ phase: 'ramp' });
    expect(await breaker.state()).toMatchObject({ phase: 'ramp', nextAt: String(startMs + dueAt + 1_000) });
    expect(await breaker.held()).toBeUndefined();
    rates.push(await breaker.limit());
  }
  expect(rates).toEqual(['2', '4', '8', '16', '32'].map((max) => [max, '3000']));
  await breaker.redis.set(breaker.key('limiter'), 7);
  expect(await breaker.observe({ at: 7_000 })).toEqual({
    phase: 'closed',
    failures: 0,
    verdict: '',
    restMs: 0,
    resting: 0,
  });
  expect(await breaker.state()).toEqual({});
  expect(await breaker.limit()).toEqual([null, null]);
  expect(await breaker.held()).toBeUndefined();
});

test('with a concurrency of at most two, a success closes it at once', async () => {
  await breaker.open();
  expect(await breaker.succeed({ ...later, concurrency: 2 })).toMatchObject({ phase: 'closed' });
});

test('a step too far in the future, because the clock was set back, is taken at once', async () => {
  await breaker.open();
  await breaker.succeed(later);
  expect(await breaker.observe({ at: 1_999 })).toMatchObject({ phase: 'ramp' });
  expect(await breaker.limit()).toEqual(['4', '3000']);
});

test('failures during recovery reopen it with the previous wait, as the same outage', async () => {
  await breaker.open();
  await breaker.fail('f', { at: 20_000 });
  await breaker.succeed({ at: 40_000 });
  for (const jobId of ['k', 'l', 'm', 'n']) expect(await breaker.fail(jobId, later)).toMatchObject({ phase: 'ramp' });
  expect(await breaker.fail('o', { at: 41_000 })).toMatchObject({ phase: 'open', failures: 5, verdict: 'straggler' });
  expect(await breaker.state()).toMatchObject({ waitMs: '2000', openedAt: String(startMs), round: '1' });
});

test('a job that failed before a success is counted alone, and does not open it', async () => {
  await breaker.open();
  await breaker.succeed(later);
  const leftMs = await breaker.redis.pttl(breaker.key('own'));
  expect(leftMs).toBeGreaterThan(memoryMs - 5_000);
  for (const jobId of ['a', 'b', 'c', 'd', 'e', 'a'])
    expect(await breaker.fail(jobId, later)).toEqual({
      phase: 'ramp',
      failures: 0,
      verdict: 'counted',
      restMs: 0,
      resting: 0,
    });
  await breaker.redis.hset(breaker.key('breaker'), 'phase', 'open');
  await breaker.fail('a', { at: 20_000, hasAnswered: true });
  expect(await breaker.state()).toMatchObject({ round: '1', turnMs: '2000' }); // tried, though not since the success
});

test('resting jobs are requeued when it is no longer open: two hundred at a time, and only those that still wait', async () => {
  const { redis, key } = breaker;
  const ids = Array.from({ length: 201 }, (_, index) => `job${index}`);
  await breaker.open();
  await redis.sadd(key('resting'), ids);
  await Promise.all(ids.map(async (id) => redis.zadd(key('delayed'), 9e15, id)));
  await breaker.observe({ at: 100 });
  expect(await redis.exists(key('marker'))).toBe(0);
  expect(await breaker.succeed(later)).toEqual({ phase: 'ramp', failures: 0, verdict: '', restMs: 0, resting: 2 });
  expect(await redis.zscore(key('marker'), '1')).toBe(String(startMs + 2_000));
  expect(await breaker.observe(later)).toEqual({ phase: 'ramp', failures: 0, verdict: '', restMs: 0, resting: 0 });
  const scores = await redis.zrange(key('delayed'), '0', '-1', 'WITHSCORES');
  expect(scores).toEqual(ids.toSorted().flatMap((id) => [id, String((startMs + 2_000) * 0x1000)]));
});

test('a job that is counted again no longer rests', async () => {
  await breaker.open();
  await breaker.succeed(later);
  await breaker.redis.del(breaker.key('marker'));
  await breaker.redis.sadd(breaker.key('resting'), 'e');
  await breaker.fail('e', later);
  expect(await breaker.redis.exists(breaker.key('marker'))).toBe(0); // nothing was promoted
});

test.for([
  ['the wait of a slow limit is kept', 2, 60_000, { waitMs: '30000', round: '1' }],
  ['a high limit changes nothing', 20, 1_000, { waitMs: '1000', round: '1' }],
] as const)("an operator's limit: %s while it is open, and all of it is restored", async ([, max, duration, state]) => {
  await breaker.setLimit(max, duration);
  await breaker.open();
  expect(await breaker.state()).toMatchObject({ ...state, theirMax: String(max), theirDuration: String(duration) });
  expect(await breaker.limit()).toEqual(['1', '17000']);
  expect(await breaker.held()).toEqual({ count: '1', ms: Number(state.waitMs) });
  let { phase } = await breaker.succeed({ at: 60_000 });
  for (let at = 61_000; phase === 'ramp'; at += 1_000) ({ phase } = await breaker.observe({ at }));
  expect(phase).toBe('closed');
  expect(await breaker.limit()).toEqual([String(max), String(duration)]);
  expect(await breaker.held()).toEqual({ count: '1', ms: duration });
});
