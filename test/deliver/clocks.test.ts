// Wrong clocks: no worker's clock delays a retry, makes one early or exhausts the schedule, and a time too far in the
// future delays nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keysOf } from '../../src/redis/brand-queue.ts';
import { answer } from '../../simulator/merchant-behaviour.ts';
import { withRedis } from '../support/with-redis.ts';
import { startService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { createRig, type Rig } from './rig.ts';

const { server: redis } = await withRedis({ durable: false });
let dir: string;

const dayMs = 86_400_000;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'clocks-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

/** A worker process of the rig's queue whose clock is wrong by `offMs`. */
async function startWorker(rig: Rig, offMs: number, FORWARD_RETRIES: string) {
  const file = path.join(dir, `clock-${offMs}.mjs`);
  await writeFile(
    file,
    `const Right = Date;
     globalThis.Date = class Date extends Right {
       constructor(...given) { if (given.length === 0) super(Right.now() + ${offMs}); else super(...given); }
       static now() { return Right.now() + ${offMs}; }
     };`,
  );
  return startService({
    roles: ['work'],
    nodeFlags: ['--import', file],
    env: {
      REDIS_URL: redis.url,
      QUEUE_NAME: rig.config.QUEUE_NAME,
      FORWARD_URL: rig.url,
      PAYALO_API_KEYS: 'a-key-of-16-characters',
      FORWARD_RETRIES,
    },
  });
}

const delayedMs = async (rig: Rig, id = '') =>
  Number((await rig.connection.zscore(`${rig.queue.base}:delayed`, id)) ?? Number.NaN) / 4_096 - Date.now();

test.for([30 * dayMs, 3_600_000, -30 * dayMs])(
  'a worker whose clock is wrong by %i ms schedules a retry after its wait, and the next worker makes it then',
  { timeout: 60_000 },
  async (offMs) => {
    await using rig = await createRig(redis);
    rig.merchant.next(answer(500));
    const job = await rig.add();
    await using wrong = await startWorker(rig, offMs, '4s,4s');
    await until(async () => (await job.getState()) === 'delayed');
    const waitMs = await delayedMs(rig, job.id);
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThan(6_000);
    await wrong.stop('SIGKILL');
    await using right = await startWorker(rig, 0, '4s,4s');
    expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 2 });
    expect(right.pid).not.toBe(wrong.pid);
  },
);

test.for([30 * dayMs, -30 * dayMs])(
  'a worker whose clock is wrong by %i ms makes its own retries on time, and takes no others early',
  { timeout: 60_000 },
  async (offMs) => {
    await using rig = await createRig(redis, { env: { FORWARD_RETRIES: '10m' } });
    rig.merchant.next(answer(500));
    const { stop } = await rig.start();
    const patient = await rig.add();
    await until(async () => (await patient.getState()) === 'delayed');
    await stop(1_000);
    await using wrong = await startWorker(rig, offMs, '1s,1s,1s');
    rig.merchant.next(answer(500), answer(500));
    const job = await rig.settled(await rig.add({ gatewayReference: 'own' }));
    expect(job.returnvalue).toMatchObject({ attempt: 3 });
    const times = rig.merchant.deliveriesOf('own').map(({ receivedAtMs }) => receivedAtMs);
    for (const [index, at] of times.entries()) expect(at - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(900);
    expect(await patient.getState()).toBe('delayed');
    expect(wrong.logs.map(({ event }) => event)).not.toContain('delivery.worker_error');
  },
);

test('a retry that an earlier version scheduled 30 days ahead is made after its wait', async () => {
  await using rig = await createRig(redis, { env: { FORWARD_RETRIES: '1s,1s' } });
  rig.merchant.next(answer(500));
  const { stop } = await rig.start();
  const job = await rig.add();
  await until(async () => (await job.getState()) === 'delayed');
  await stop(1_000);
  await rig.connection.zadd(`${rig.queue.base}:delayed`, 'XX', (Date.now() + 30 * dayMs) * 4_096, job.id ?? '');
  await rig.start();
  expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 2 });
});

test('an intended delay is unchanged', async () => {
  await using rig = await createRig(redis);
  const asked = await rig.bull.add('callback', (await rig.add()).data, { jobId: 'asked.x', delay: 30 * dayMs });
  const parked = await rig.add();
  await rig.start();
  await rig.settled(parked);
  await rig.connection.zadd(`${rig.queue.base}:delayed`, (Date.now() + dayMs) * 4_096, 'unknown.x');
  await until(async () => (await rig.connection.pttl(`${rig.queue.base}:stalled-check`)) > 0);
  expect(await delayedMs(rig, asked.id)).toBeGreaterThan(29 * dayMs);
});

test('after Redis was set back an hour, the jobs of a dead worker come back within seconds of their lock', async () => {
  await using rig = await createRig(redis);
  const job = await rig.add();
  // The lock of a dead worker, and the time of the last check for stalled jobs after the step.
  await rig.connection.rpoplpush(`${rig.queue.base}:wait`, `${rig.queue.base}:active`);
  await rig.connection.set(`${rig.queue.base}:stalled-check`, 1, 'PX', 3_600_000);
  await rig.connection.sadd(`${rig.queue.base}:stalled`, job.id ?? '');
  await rig.connection.set(`${keysOf.job(rig.queue, job.id ?? '')}:lock`, 'dead', 'PX', 3_600_000);
  await rig.start();
  await until(async () => (await rig.connection.pttl(`${rig.queue.base}:stalled-check`)) < 10_000);
  const lock = `${keysOf.job(rig.queue, job.id ?? '')}:lock`;
  await until(async () => (await rig.connection.pttl(lock)) <= 600_000);
  await rig.connection.del(lock);
  expect((await rig.settled(job)).returnvalue).toMatchObject({ attempt: 1 });
});
