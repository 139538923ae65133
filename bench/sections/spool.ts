// Accepting while Redis is down: every callback goes to the spool, and its answer waits for the fsync.
import { sized, type Section } from '../section.ts';
import { median, round } from '../statistics.ts';

const connections = 64;
const rate = 1_000;

export const spool: Section = {
  name: 'spool',
  title: 'Accepting with Redis down',
  async run(rig, size) {
    const redis = await rig.startRedis();
    const { url, ...receiver } = await rig.startService({ roles: ['receive'], redis });
    const urls = [url];
    await rig.load({ urls, connections, requests: sized(size, 5_000, 100), run: 'warm' });
    const requests = sized(size, 10_000, 200);
    const up: number[] = [];
    for (let at = 0; at < size.rounds; at += 1) {
      up.push(requests / (await rig.load({ urls, connections, requests, run: `up${at}` })).seconds);
    }
    await redis.stop();
    await rig.load({ urls, connections, requests: sized(size, 1_000, 100), run: 'notice' }); // the breaker opens
    const down: number[] = [];
    const p99: number[] = [];
    for (let at = 0; at < size.rounds; at += 1) {
      down.push(requests / (await rig.load({ urls, connections, requests, run: `down${at}` })).seconds);
      const load = { urls, connections, requests: sized(size, rate * 3, 200), run: `rate${at}`, ratePerSecond: rate };
      p99.push((await rig.load(load)).p99Ms);
    }
    await receiver.stop();
    return {
      rows: [
        { redis: 'up', 'callbacks/s': round(median(up)) },
        { redis: 'down', 'callbacks/s': round(median(down)), [`p99 ms at ${rate}/s`]: round(median(p99), 2) },
      ],
      summary: { 'down / up': round(median(down) / median(up), 2) },
    };
  },
};
