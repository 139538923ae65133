// A gateway that hangs, refuses or fails for one transaction does not affect the others.
import { expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { countExpectations, registerExpectation } from '../../src/store/reconciliation/expectations.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { createRig, isoAgo, lookUp, type Rig } from './reconcile-rig.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

const { server: redis } = await withRedis();

const rigOf = (environment: Record<string, string> = {}) =>
  createRig({ redisUrl: redis.url, environment: { RECONCILE_LOOKBACK: '1m', ...environment } });
const expectNow = (rig: Rig, gatewayReference: string) =>
  registerExpectation(rig.redis, rig.queue, { gatewayReference }, rig.clock.now());
const hang = { status: { kind: 'hang' } } as const;

/** Older than the sweeps' lookback. */
function add(rig: Rig, count = 1): string[] {
  return rig.gateway
    .addTransactions({ count, createdAt: isoAgo(hourMs) })
    .map(({ gatewayReference }) => gatewayReference);
}

async function contradict(rig: Rig, references: readonly string[]) {
  for (const reference of references) {
    const body = rig.gateway.bodyOf(reference);
    await rig.receive(body);
    await rig.receive(body.replace('"success"', '"failed"'));
    rig.gateway.misbehave(reference, hang);
  }
}

async function watchNow(rig: Rig, references: readonly string[]) {
  for (const reference of references) {
    rig.gateway.misbehave(reference, hang);
    await rig.redis.zadd(keysOf.watched(rig.queue), rig.clock.now() - hourMs, reference);
    await rig.redis.zadd(keysOf.watchedDue(rig.queue), rig.clock.now(), reference);
  }
}

async function expectHanging(rig: Rig, references: readonly string[]) {
  for (const reference of references) {
    rig.gateway.misbehave(reference, hang);
    await expectNow(rig, reference);
  }
}

test.each([
  ['30 hanging conflicts', 30, contradict],
  ['30 hanging watched ones', 30, watchNow],
  ['10 hanging expectations', 10, expectHanging],
])('%s delay no other expectation', { timeout: 60_000 }, async (_name, count, makeHang) => {
  await using rig = await rigOf();
  await makeHang(rig, add(rig, count));
  const stage = rig.reconciliation();
  await stage.start();
  const asked = () => rig.gateway.transactions().filter(({ statusCalls }) => statusCalls > 0).length;
  await until(() => asked() >= Math.min(count, 10)); // they hang now
  const startedAtMs = performance.now();
  const [good = ''] = add(rig);
  await expectNow(rig, good);
  await until(async () => (await rig.jobs()).some(({ gatewayReference }) => gatewayReference === good));
  expect(performance.now() - startedAtMs).toBeLessThan(9_000); // a single hanging call takes ten seconds
  await stage.stop(5_000);
});

test('a sweep whose status calls hang delays no expectation', { timeout: 60_000 }, async () => {
  await using rig = await rigOf({ RECONCILE_LOOKBACK: '2h' });
  for (const reference of add(rig, 40)) rig.gateway.misbehave(reference, hang);
  const stage = rig.reconciliation();
  await stage.start();
  await until(() => rig.gateway.calls().status >= 10);
  const [good = ''] = rig.gateway
    .addTransactions({ createdAt: isoAgo(5 * hourMs) })
    .map(({ gatewayReference }) => gatewayReference);
  await expectNow(rig, good);
  await until(async () => (await rig.jobs()).some(({ gatewayReference }) => gatewayReference === good), {
    timeoutMs: 9_000,
  });
  await stage.stop(5_000);
});

test.each([400, 403, 404, 422])(
  'an expectation that the gateway answers with %i is looked up less and less often, and given up after a day',
  async (status) => {
    await using rig = await rigOf({ RECONCILE_GRACE: '0ms' });
    const [reference = ''] = add(rig);
    rig.gateway.misbehave(reference, { status: { kind: 'answer', status } });
    await expectNow(rig, reference);
    const stage = rig.reconciliation();
    await stage.start();
    await until(() => rig.gateway.calls().status === 1);
    const startedAtMs = performance.now();
    await until(() => rig.logged('reconcile.swept').length > 3);
    expect(rig.gateway.calls().status).toBeLessThanOrEqual(2 + (performance.now() - startedAtMs) / 1_000);
    await stage.stop(5_000);
    for (let minutes = 0; minutes < 25 * 60; minutes += 10) {
      rig.clock.advance(10 * minuteMs);
      await lookUp(rig);
    }
    expect(await countExpectations(rig.redis, rig.queue)).toBe(0);
    expect(rig.gateway.calls().status).toBeGreaterThan(20);
    expect(rig.gateway.calls().status).toBeLessThan(40);
  },
);

test('a reference that cannot be looked up at all breaks neither the sweeps nor the other look-ups', async () => {
  await using rig = await rigOf({ RECONCILE_LOOKBACK: '2h' });
  await rig.redis.zadd(keysOf.expectations(rig.queue), 1, Buffer.from([0xff, 0xfe]), 2, '..', 3, '%', 4, 'a/b', 5, ' ');
  const [good = ''] = rig.gateway
    .addTransactions({ createdAt: isoAgo(5 * hourMs) })
    .map(({ gatewayReference }) => gatewayReference);
  const [swept = ''] = add(rig);
  await expectNow(rig, good);
  const stage = rig.reconciliation();
  await stage.start();
  await until(async () => {
    const references = (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
    return references.includes(good) && references.includes(swept);
  });
  await stage.stop(5_000);
});

test('a broken set of one kind of look-ups stops neither the sweeps nor the others', async () => {
  await using rig = await rigOf({ RECONCILE_LOOKBACK: '2h' });
  await rig.redis.set(keysOf.watchedDue(rig.queue), 'not a set');
  await rig.redis.set(keysOf.unverified(rig.queue), 'not a set');
  const [good = ''] = rig.gateway
    .addTransactions({ createdAt: isoAgo(5 * hourMs) })
    .map(({ gatewayReference }) => gatewayReference);
  const [swept = ''] = add(rig);
  await expectNow(rig, good);
  const stage = rig.reconciliation();
  await stage.start();
  await until(async () => {
    const references = (await rig.jobs()).map(({ gatewayReference }) => gatewayReference);
    return references.includes(good) && references.includes(swept);
  });
  await stage.stop(5_000);
});

test('hundreds that hang again and again leave places for a new one', { timeout: 90_000 }, async () => {
  await using rig = await rigOf({ RECONCILE_GRACE: '1s' });
  await expectHanging(rig, add(rig, 300));
  const stage = rig.reconciliation();
  await stage.start();
  const failed = () => rig.logged('reconcile.look_up_failed').length;
  await until(() => failed() >= 40, { timeoutMs: 60_000 }); // several rounds of them
  const [good = ''] = add(rig);
  await expectNow(rig, good);
  await until(async () => (await rig.jobs()).some(({ gatewayReference }) => gatewayReference === good), {
    timeoutMs: 25_000,
  });
  await stage.stop(5_000);
});
