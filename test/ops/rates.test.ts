// The console's last hour: counted at once, over all processes.
import { Redis } from 'ioredis';
import pino from 'pino';
import { expect, test } from 'vitest';
import { createRates } from '../../src/ops/rates.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { startRedis } from '../support/redis.ts';
import { newQueue } from '../support/queues.ts';

test('shows the first callback at once, each once, and what other processes counted', async () => {
  await using server = await startRedis();
  const redis = new Redis(server.url);
  const queue = newQueue();
  const state = {
    jobs: { queued: 2, delivering: 0, retrying: 1, delivered: 0, failed: 0, held: 0, removed: 0 },
    oldestWaitingSeconds: 0,
    oldestUndeliveredSeconds: 0,
    brands: [],
    quarantineEntries: 0,
    unconfirmed: 0,
    denied: 0,
    mismatched: 0,
    pausedBrands: [],
    memory: { usedBytes: 0, maxBytes: 0 },
  };
  const startProcess = () => {
    const metrics = createMetrics();
    const log = pino({ level: 'silent' });
    return { metrics, rates: createRates({ redis, queue, queueState: async () => state, metrics, log }) };
  };
  const [one, two] = [startProcess(), startProcess()];
  const received = async (of: typeof one) => (await of.rates.read()).counts.received.reduce((sum, n) => sum + n, 0);

  one.metrics.callbacks.inc({ outcome: 'accepted' });
  one.metrics.callbacks.inc({ outcome: 'unauthorized' });
  expect(await received(one)).toBe(1);
  expect(await received(one)).toBe(1);
  two.metrics.callbacks.inc({ outcome: 'duplicate' });
  expect(await Promise.all([received(two), received(two)])).toEqual([2, 2]);
  expect(await received(one)).toBe(2);
  expect((await one.rates.read()).waiting.at(-1)).toBe(3);
  redis.disconnect();
});
