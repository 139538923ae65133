// One, two and four receivers on one Redis, and the maximum of that Redis: redis-benchmark calls the same script with
// full batches, as receivers under load do. On a machine with few processors the receivers compete for them; only the
// CPU time per callback carries over to a larger machine.
import { acceptScript } from '../../src/store/accept/accept-batch.ts';
import { batchArguments, defaultQueue } from '../backlog.ts';
import { withCpu } from '../cpu-time.ts';
import { siblingProgram, outputOf, type BenchRedis, type Rig, type Running } from '../rig.ts';
import { sized, type Row, type Section } from '../section.ts';
import { median, round } from '../statistics.ts';

const connections = 64;
const batchSizes = [1, 16];
/** As with four receivers, each with two calls in flight. */
const clients = 8;

export const scale: Section = {
  name: 'scale',
  title: 'Several receivers on one Redis, and that Redis alone',
  async run(rig, size) {
    const redis = await rig.startRedis();
    const counts = size.short ? [1, 2] : [1, 2, 4];
    const receivers: Running[] = [];
    while (receivers.length < Math.max(...counts)) {
      receivers.push(await rig.startService({ roles: ['receive'], redis }));
    }
    const requests = sized(size, 10_000, 200);
    const measured = new Map(counts.map((count) => [count, new Array<Sample>()]));
    for (let at = -1; at < size.rounds; at += 1) {
      for (const [count, samples] of measured) {
        const one = await sample(rig, redis, receivers.slice(0, count), `r${at + 1}n${count}x`, requests);
        if (at >= 0) samples.push(one); // the first round is a warm-up
        await redis.client.flushall();
      }
    }
    for (const receiver of receivers) await receiver.stop();
    const rows: Row[] = [...measured].map(([count, samples]) => ({ what: `${count} receivers`, ...rowOf(samples) }));
    const calls = sized(size, 3_000, 100);
    for (const batch of batchSizes)
      rows.push({ what: `Redis alone, batches of ${batch}`, ...(await alone(rig, redis, batch, calls)) });
    await redis.stop();
    return { rows, summary: {} };
  },
};

interface Sample {
  readonly perSecond: number;
  readonly nodeUs: number;
  readonly redisUs: number;
}

async function sample(rig: Rig, redis: BenchRedis, receivers: readonly Running[], run: string, requests: number) {
  const pids = [redis.pid, ...receivers.map(({ pid }) => pid)];
  const urls = receivers.map(({ url }) => url);
  const { result, cpu } = await withCpu(pids, () => rig.load({ urls, connections, requests, run }));
  const [redisUs = Number.NaN, ...nodes] = cpu.map((used) => used / requests);
  return { perSecond: requests / result.seconds, redisUs, nodeUs: nodes.reduce((sum, used) => sum + used, 0) };
}

/** redis-benchmark replaces each `__rand_int__` with a random number, so every reference is new. */
async function alone(rig: Rig, redis: BenchRedis, batch: number, calls: number): Promise<Row> {
  const sha = String(await redis.client.script('LOAD', acceptScript));
  const args = batchArguments(batch).map((arg) =>
    arg.length === digestLength ? `${arg.slice(0, 4)}__rand_int__` : arg,
  );
  const options = ['-p', String(redis.port), '-n', String(calls), '-c', String(clients), '-r', '2000000000', '--csv'];
  const program = siblingProgram(rig.server, 'redis-benchmark');
  await redis.client.flushall();
  const run = () => outputOf(program, [...options, 'EVALSHA', sha, ...args], rig.server.env);
  const { result, cpu } = await withCpu([redis.pid], run);
  const queued = await redis.client.llen(`${defaultQueue.base}:wait`);
  // A few random references collide; with more collisions, the run measured duplicates.
  if (queued < calls * batch * 0.99) throw new Error(`redis-benchmark queued ${queued} of ${calls * batch} callbacks`);
  const perSecond = Number(/,"([\d.]+)"/.exec(result.trim().split('\n').at(-1) ?? '')?.[1]) * batch;
  return { 'callbacks/s': round(perSecond), 'Redis us': round((cpu[0] ?? Number.NaN) / (calls * batch), 1) };
}

/** Of a batch's arguments, only digests have this length. */
const digestLength = 16;

function rowOf(samples: readonly Sample[]) {
  const middle = (key: keyof Sample) => median(samples.map((one) => one[key]));
  return {
    'callbacks/s': round(middle('perSecond')),
    'Node us': round(middle('nodeUs'), 1),
    'Redis us': round(middle('redisUs'), 1),
  };
}
