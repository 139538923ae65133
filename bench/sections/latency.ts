// Answer latency at fixed rates, from the time when the callback was due until its answer was read, compared with the
// bare route; and the same while a worker delivers a backlog.
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
    const [redis, redisOfAll] = [await rig.startRedis(), await rig.startRedis()];
    const merchant = await rig.startContestant('merchant');
    const receiver = await rig.startService({ roles: ['receive'], redis });
    const env = { FORWARD_URL: merchant.url };
    const all = await rig.startService({ roles: ['receive', 'work'], redis: redisOfAll, env });
    const bare = await rig.startContestant('bare-route');
    const contestants = { 'bare route': bare, receiver, 'receiver and worker, which deliver': all };
    for (const { url } of Object.values(contestants))
      await rig.load({ urls: [url], connections, requests: sized(size, 5_000, 100), run: 'warm' });
    const rows: Row[] = [];
    const summary: Record<string, number> = {};
    for (const rate of rates) {
      const results = await inTurn(rig, Object.values(contestants), size, rate);
      for (const [at, name] of Object.keys(contestants).entries())
        rows.push({ 'callbacks/s': rate, contestant: name, meanwhile: 'nothing', ...rowOf(results[at] ?? []) });
      const [ofBare = [], ofReceiver = [], ofAll = []] = results;
      summary[`receiver / bare, p99 at ${rate}/s`] = ratioOf(ofReceiver, ofBare);
      summary[`receiver and worker / bare, p99 at ${rate}/s`] = ratioOf(ofAll, ofBare);
    }
    await Promise.all([bare.stop(), all.stop()]);
    rows.push(...(await besideBacklog(rig, redis, { receiver, merchant }, size)));
    await Promise.all([receiver.stop(), merchant.stop()]);
    await Promise.all([redis.stop(), redisOfAll.stop()]);
    return { rows, summary };
  },
};

/** The results of each contestant. Every round runs all of them, so that a slow moment affects all. */
async function inTurn(rig: Rig, contestants: readonly Running[], size: Size, rate: number): Promise<LoadResult[][]> {
  const results: LoadResult[][] = contestants.map(() => []);
  for (let round = 0; round < size.rounds; round += 1)
    for (const [at, contestant] of contestants.entries())
      results[at]?.push(await atRate(rig, contestant, size, rate, `calm${rate}r${round}`));
  return results;
}

function ratioOf(ours: readonly LoadResult[], theirs: readonly LoadResult[]): number {
  return round(median(ours.map(({ p99Ms }, at) => p99Ms / (theirs[at]?.p99Ms ?? Number.NaN))), 2);
}

interface Beside {
  readonly receiver: Running;
  readonly merchant: Running;
}

async function besideBacklog(rig: Rig, redis: BenchRedis, { receiver, merchant }: Beside, size: Size): Promise<Row[]> {
  const backlog = sized(size, 100_000, 500);
  await redis.client.flushall();
  await fillBacklog(redis, 'backlog', backlog);
  await merchantCounts(merchant); // resets the counts
  const worker = await rig.startService({ roles: ['work'], redis, env: { FORWARD_URL: merchant.url } });
  const rows: Row[] = [];
  for (const rate of rates) {
    const results: LoadResult[] = [];
    for (let at = 0; at < Math.min(size.rounds, 3); at += 1)
      results.push(await atRate(rig, receiver, size, rate, `busy${rate}r${at}`));
    const { deliveries } = await merchantCounts(merchant);
    const meanwhile = `${backlog} waited, ${deliveries} delivered`;
    rows.push({ 'callbacks/s': rate, contestant: 'receiver', meanwhile, ...rowOf(results) });
  }
  await worker.stop();
  return rows;
}

/** Five seconds of load. */
function atRate(rig: Rig, { url }: Running, size: Size, rate: number, run: string): Promise<LoadResult> {
  return rig.load({ urls: [url], connections, requests: sized(size, rate * 5, 100), run, ratePerSecond: rate });
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
