// A merchant that is down: no attempts spent, one probe at a time, and a backlog that flows again at a growing rate.
import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { brandQueue } from '../../src/redis/brand-queue.ts';
import { pauseForwarding, readForwarding, resumeForwarding } from '../../src/store/lifecycle/forwarding.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { createMerchantSimulator } from '../../simulator/merchant.ts';
import { withRedis } from '../support/with-redis.ts';
import { until } from '../support/until.ts';
import { addCallback, createRig, fastBreaker, type Rig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });

const patient = { FORWARD_RETRIES: '10m,10m' };

async function addMany(rig: Rig, number: number): Promise<void> {
  await Promise.all(Array.from({ length: number }, async () => rig.add()));
}

/**
 * The attempts that began after the breaker had opened, from the workers' logs: on a busy machine this process, as the
 * merchant, sees them much later or never, mixed with those that were in flight when it opened.
 */
function probesOf(rig: Rig): { startedAt: number }[] {
  const opened = rig.logs.find(({ event }) => event === 'breaker.opened');
  const openedAt = opened === undefined ? Number.POSITIVE_INFINITY : Date.parse(String(opened['time']));
  return rig
    .attempted()
    .map(({ time, ms }) => ({ startedAt: Date.parse(String(time)) - Number(ms) }))
    .filter(({ startedAt }) => startedAt > openedAt + fastBreaker.firstWaitMs / 2)
    .toSorted((one, other) => one.startedAt - other.startedAt);
}

const isOpen = async (rig: Rig) => (await readForwarding(rig.connection, rig.queue)).breaker === 'open';

test('500 callbacks wait while their merchant is down: a handful of attempts is spent, and all arrive on its return', async () => {
  // The few counted callbacks are retried soon, so that the test sees them arrive too.
  await using rig = await createRig(redis, { env: { FORWARD_RETRIES: '3s,3s,3s' } });
  await rig.merchant.down();
  await addMany(rig, 500);
  const { metrics } = await rig.start();
  await until(async () => isOpen(rig));
  await until(() => rig.attempted().filter(({ verdict }) => verdict === 'held').length >= 50, {
    describe: 'the deliveries in flight to come back, and some probes to fail',
  });
  expect(await metrics.registry.metrics()).toContain('payalo_breaker_open{brand="default"} 1');
  await rig.merchant.up();
  await until(async () => (await rig.bull.getCompletedCount()) === 500, { timeoutMs: 25_000, everyMs: 50 });

  const spent = rig.attempted().filter(({ verdict }) => verdict === 'retried');
  expect(spent.length).toBeLessThanOrEqual(5);
  expect(rig.merchant.uniqueIds().size).toBe(500);
  expect(rig.merchant.deliveries()).toHaveLength(500);
  expect(await readForwarding(rig.connection, rig.queue)).toEqual({ paused: false, breaker: 'closed' });
  expect(await metrics.registry.metrics()).toContain('payalo_breaker_open{brand="default"} 0');

  // The merchant's own log: after the probe 2 in the first second, 4 in the next, ... until there is no limit.
  const [probe = 0, ...times] = rig.merchant.deliveries().map(({ receivedAtMs }) => receivedAtMs);
  for (const [second, most] of [2, 6, 14, 30].entries()) {
    const by = times.filter((at) => at < probe + (second + 1) * 1_000 - 50).length;
    expect(by).toBeLessThanOrEqual(most);
  }
});

test('while it is open, two processes together send one probe at a time, and a restarted one sends no more', async () => {
  await using rig = await createRig(redis, { env: { ...patient, FORWARD_TIMEOUT: '400ms' } });
  await addMany(rig, 100);
  rig.merchant.always({ kind: 'hang' });
  const first = await rig.start();
  await rig.start();
  await until(async () => isOpen(rig));
  await until(() => probesOf(rig).length >= 1);
  await first.stop(2_000);
  const restartedAt = Date.now();
  await rig.start();
  await until(() => probesOf(rig).filter(({ startedAt }) => startedAt > restartedAt).length >= 3);
  for (const [index, { startedAt }] of probesOf(rig).entries()) {
    // A probe hangs for 400 ms, then the queue is held for at least another 200 ms.
    expect(startedAt - (probesOf(rig)[index - 1]?.startedAt ?? 0)).toBeGreaterThan(500);
  }
  const counted = rig.attempted().filter(({ verdict }) => verdict === 'retried');
  expect(counted.length).toBeLessThanOrEqual(4);
});

test('after a failed probe another callback is tried, so that a poison callback cannot keep the breaker open', async () => {
  await using rig = await createRig(redis, { env: patient });
  rig.merchant.always(answer(503));
  await addMany(rig, 8);
  await rig.start();
  await until(async () => isOpen(rig));
  const poison = new Set(rig.merchant.deliveries().map(({ webhookId }) => webhookId));
  rig.merchant.always(({ webhookId }) => answer(poison.has(webhookId) ? 503 : 200));
  const fine = await rig.add();
  await rig.settled(fine);
});

test.for([
  ['one poison callback, however often it fails', 1, 500],
  ['many callbacks that are refused with 4xx', 20, 422],
] as const)('%s does not open it', async ([, number, status]) => {
  await using rig = await createRig(redis, { env: { FORWARD_RETRIES: '1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms' } });
  rig.merchant.always(answer(status));
  await addMany(rig, number);
  await rig.start();
  await until(async () => (await rig.bull.getFailedCount()) === number);
  expect(rig.logs.map(({ event }) => event)).not.toContain('breaker.opened');
  expect(rig.merchant.deliveries()).toHaveLength(number * 9);
});

test('failures with successes between them do not open it', async () => {
  await using rig = await createRig(redis, { env: { ...patient, FORWARD_CONCURRENCY: '1' } });
  let delivery = 0;
  rig.merchant.always(() => {
    delivery += 1;
    return answer(delivery % 3 === 0 ? 200 : 500);
  });
  await addMany(rig, 60);
  await rig.start();
  await until(() => rig.attempted().length === 60);
  expect(rig.logs.map(({ event }) => event)).not.toContain('breaker.opened');
});

test('a brand whose merchant is down does not hold up another', async () => {
  const down = createMerchantSimulator();
  const { url: downUrl } = await down.up();
  await down.down();
  await using rig = await createRig(redis);
  const env = {
    ...patient,
    PAYALO_API_KEYS: 'acme=key-of-acme-0123456789,other=key-of-other-0123456789',
  };
  await using brands = await createRig(redis, { env: { ...env, FORWARD_URL: `acme=${downUrl},other=${rig.url}` } });
  const add = async (brand: string) => {
    const { name, prefix } = brandQueue(brand, brands.config);
    const bull = new Queue(name, { prefix, connection: brands.connection });
    await Promise.all(Array.from({ length: 60 }, async () => addCallback(bull, { brand })));
    await bull.close();
  };
  await add('acme');
  await brands.start();
  await until(
    async () => (await readForwarding(brands.connection, brandQueue('acme', brands.config))).breaker === 'open',
  );
  await add('other');
  await until(() => rig.merchant.uniqueIds().size === 60);
  expect(rig.merchant.deliveries().every(({ headers }) => headers['payalo-brand'] === 'other')).toBe(true);
  expect(await readForwarding(brands.connection, brandQueue('other', brands.config))).toMatchObject({
    breaker: 'closed',
  });
});

test.for([
  ['4', 3],
  ['1', 3],
] as const)(
  'with FORWARD_CONCURRENCY=%s and %i brands, merchants that hang do not delay the one that does not',
  async ([FORWARD_CONCURRENCY, number]) => {
    const hanging = createMerchantSimulator();
    const { url: hangingUrl } = await hanging.up();
    hanging.always({ kind: 'hang' });
    await using rig = await createRig(redis);
    const others = Array.from({ length: number - 1 }, (_, index) => `hangs${index}`);
    const urls = [...others.map((name) => `${name}=${hangingUrl}`), `fine=${rig.url}`];
    const keys = [...others, 'fine'].map((name) => `${name}=key-of-brand-${name}-0123456789`);
    const env = { FORWARD_URL: urls.join(','), PAYALO_API_KEYS: keys.join(','), FORWARD_TIMEOUT: '60s' };
    await using brands = await createRig(redis, { env: { ...env, FORWARD_CONCURRENCY } });
    const add = async (brand: string, count: number) => {
      const { name, prefix } = brandQueue(brand, brands.config);
      const bull = new Queue(name, { prefix, connection: brands.connection });
      await Promise.all(Array.from({ length: count }, async () => addCallback(bull, { brand })));
      await bull.close();
    };
    for (const brand of others) await add(brand, 10);
    await brands.start();
    await until(() => hanging.deliveries().length >= others.length);
    await add('fine', 10);
    await until(() => rig.merchant.uniqueIds().size === 10);
    await hanging.down();
  },
);

test('a pause survives a restart; intake continues, and resuming delivers what waited and closes an open breaker', async () => {
  await using rig = await createRig(redis, { env: patient });
  await pauseForwarding(rig.connection, rig.queue);
  const { stop } = await rig.start();
  await addMany(rig, 10);
  await stop(1_000);
  await rig.start();
  expect(await readForwarding(rig.connection, rig.queue)).toEqual({ paused: true, breaker: 'closed' });
  await rig.connection.hset(`${rig.queue.base}/b`, { phase: 'open', openedAt: 1, heldAt: 1, waitMs: 600_000 });
  await rig.connection.set(`${rig.queue.base}:limiter`, 1, 'PX', 600_000);
  await rig.connection.hset(`${rig.queue.base}:meta`, { max: 1, duration: 600_000 });
  expect(await readForwarding(rig.connection, rig.queue)).toEqual({ paused: true, breaker: 'open', openSinceMs: 1 });
  expect(rig.merchant.deliveries()).toEqual([]);
  await resumeForwarding(rig.connection, rig.queue);
  await until(() => rig.merchant.uniqueIds().size === 10);
});
