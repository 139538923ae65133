// How long an answer takes at fixed rates, from when the callback was due to when its answer was read; and the same
// while a backlog waits and a worker delivers it.
import { fillBacklog } from '../backlog.ts';
import type { LoadResult } from '../processes/load.ts';
import { merchantCounts, type BenchRedis, type Rig, type Running } from '../rig.ts';
import { sized, type Row, type Section, type Size } from '../section.ts';
import { median, round } from '../statistics.ts';

const rates = [200, 1_000];
const connections = 64;

export const latency: Section = {
  name: 'latency',
  title: 'Acknowledgement latency at fixed rates (open loop)',
  async run(rig, size) {
    const redis = await rig.startRedis();
    const receiver = await rig.startService({ roles: ['receive'], redis });
    await rig.load({ urls: [receiver.url], connections, requests: sized(size, 5_000, 100), run: 'warm' });
    const rows: Row[] = [];
    const summary: Record<string, number> = {};
    for (const rate of rates) {
      const results = await atRate(rig, receiver, size, rate, 'calm');
      rows.push({ 'callbacks/s': rate, meanwhile: 'nothing', ...rowOf(results) });
      summary[`p99 ms at ${rate}/s`] = round(median(results.map(({ p99Ms }) => p99Ms)), 2);
    }
    rows.push(...(await besideBacklog(rig, redis, receiver, size)));
    await receiver.stop();
    await redis.stop();
    return { rows, summary };
  },
};

async function besideBacklog(rig: Rig, redis: BenchRedis, receiver: Running, size: Size): Promise<Row[]> {
  const backlog = sized(size, 100_000, 500);
  await redis.client.flushall();
  await fillBacklog(redis, 'backlog', backlog);
  const merchant = await rig.startContestant('merchant');
  const worker = await rig.startService({ roles: ['work'], redis, env: { FORWARD_URL: merchant.url } });
  const rows: Row[] = [];
  for (const rate of rates) {
    const results = await atRate(rig, receiver, size, rate, 'busy');
    const { deliveries } = await merchantCounts(merchant);
    rows.push({ 'callbacks/s': rate, meanwhile: `${backlog} waited, ${deliveries} delivered`, ...rowOf(results) });
  }
  await worker.stop();
  await merchant.stop();
  return rows;
}

async function atRate(rig: Rig, { url }: Running, size: Size, rate: number, run: string): Promise<LoadResult[]> {
  const requests = sized(size, rate * 5, 100);
  const results: LoadResult[] = [];
  for (let at = 0; at < Math.min(size.rounds, 3); at += 1) {
    results.push(
      await rig.load({ urls: [url], connections, requests, run: `${run}${rate}r${at}`, ratePerSecond: rate }),
    );
  }
  return results;
}

function rowOf(results: readonly LoadResult[]) {
  const middle = (key: 'p50Ms' | 'p99Ms' | 'p999Ms' | 'maxMs') => round(median(results.map((one) => one[key])), 2);
  return {
    'p50 ms': middle('p50Ms'),
    'p99 ms': middle('p99Ms'),
    'p99.9 ms': middle('p999Ms'),
    'max ms': middle('maxMs'),
  };
}
