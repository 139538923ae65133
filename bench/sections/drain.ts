// How fast a backlog reaches an instant merchant, compared with the upper bound of one undici pool that posts the same
// bodies from memory; in turn, several rounds.
import { setTimeout as delay } from 'node:timers/promises';
import { Queue } from 'bullmq';
import * as z from 'zod';
import { defaultQueue, fillBacklog } from '../backlog.ts';
import { withCpu } from '../cpu-time.ts';
import { merchantCounts, type BenchRedis, type Rig, type Running } from '../rig.ts';
import { sized, type Section } from '../section.ts';
import { median, round } from '../statistics.ts';

/** The default of FORWARD_CONCURRENCY. */
const concurrency = 50;
const lookEveryMs = 20;

interface Sample {
  readonly perSecond: number;
  readonly nodeUs: number;
  readonly redisUs: number;
}

const ceilingSchema = z.object({ cpuMicroseconds: z.number() });

export const drain: Section = {
  name: 'drain',
  title: `Drain of a backlog, FORWARD_CONCURRENCY ${concurrency}`,
  async run(rig, size) {
    const redis = await rig.startRedis();
    const merchant = await rig.startContestant('merchant');
    const callbacks = sized(size, 20_000, 300);
    const ceilings: Sample[] = [];
    const drains: Sample[] = [];
    const before: Sample[] = [];
    for (let at = 0; at < size.rounds; at += 1) {
      ceilings.push(await postAll(rig, merchant, callbacks));
      drains.push(await drainAll(rig, redis, merchant, callbacks));
      if (size.against !== undefined) before.push(await drainAll(rig, redis, merchant, callbacks, size.against));
    }
    await merchant.stop();
    await redis.stop();
    const ratio = median(drains.map((one, index) => one.perSecond / (ceilings[index]?.perSecond ?? Number.NaN)));
    return {
      rows: [
        { contestant: 'undici pool from memory', ...rowOf(ceilings) },
        { contestant: 'this service (work)', ...rowOf(drains) },
        ...(size.against === undefined ? [] : [{ contestant: 'the service of --against', ...rowOf(before) }]),
      ],
      summary: { 'drain / ceiling': round(ratio, 2) },
    };
  },
};

async function postAll(rig: Rig, merchant: Running, callbacks: number): Promise<Sample> {
  const used = await rig.run('post-ceiling', merchant.url, String(callbacks), String(concurrency));
  return { perSecond: await pace(merchant), nodeUs: ceilingSchema.parse(used).cpuMicroseconds / callbacks, redisUs: 0 };
}

async function drainAll(
  rig: Rig,
  redis: BenchRedis,
  merchant: Running,
  callbacks: number,
  checkout?: string,
): Promise<Sample> {
  const env = { FORWARD_URL: merchant.url };
  const startWorkers = async () => [await rig.startService({ roles: ['work'], redis, env, checkout })];
  const { cpu } = await drainBacklog(redis, callbacks, { startWorkers });
  const [redisUs = Number.NaN, nodeUs = Number.NaN] = cpu.map((used) => used / callbacks);
  return { perSecond: await pace(merchant), nodeUs, redisUs };
}

export interface Drained {
  /** Microseconds of CPU time: Redis, each of `beside`, then each worker. */
  readonly cpu: readonly number[];
  readonly seconds: number;
}

/** The queue is paused until the workers are ready, so that their start-up is not measured. */
export async function drainBacklog(
  redis: BenchRedis,
  callbacks: number,
  { startWorkers, beside = [] }: { startWorkers: () => Promise<readonly Running[]>; beside?: readonly Running[] },
): Promise<Drained> {
  await redis.client.flushall();
  await fillBacklog(redis, 'drain', callbacks);
  const queue = new Queue(defaultQueue.name, { prefix: defaultQueue.prefix, connection: redis.client });
  await queue.pause();
  const workers = await startWorkers();
  const pids = [redis, ...beside, ...workers].map(({ pid }) => pid);
  const { cpu, result: seconds } = await withCpu(pids, async () => {
    const startMs = performance.now();
    await queue.resume();
    await untilDelivered(redis, callbacks);
    return (performance.now() - startMs) / 1_000;
  });
  for (const worker of workers) await worker.stop();
  await queue.close();
  return { cpu, seconds };
}

/** Deliveries per second between the first and the last one. */
export async function pace(merchant: Running): Promise<number> {
  const { deliveries, firstAtMs, lastAtMs } = await merchantCounts(merchant);
  return ((deliveries - 1) * 1_000) / (lastAtMs - firstAtMs);
}

/** Resolves when this many callbacks of the default brand are delivered and settled. */
export async function untilDelivered(redis: BenchRedis, callbacks: number): Promise<void> {
  while ((await redis.client.zcard(`${defaultQueue.base}:completed`)) < callbacks) await delay(lookEveryMs);
}

function rowOf(samples: readonly Sample[]) {
  const middle = (key: keyof Sample) => median(samples.map((one) => one[key]));
  return {
    'callbacks/s': round(middle('perSecond')),
    'Node us': round(middle('nodeUs'), 1),
    'Redis us': round(middle('redisUs'), 1),
  };
}
