// Latency from the gateway to the merchant at 200 callbacks a second, with the service in one process.
import { merchantCounts } from '../rig.ts';
import { sized, type Row, type Section } from '../section.ts';
import { round } from '../statistics.ts';
import { untilDelivered } from './drain.ts';

const rate = 200;
const connections = 64;

export const endToEnd: Section = {
  name: 'end-to-end',
  title: `From the gateway to the merchant at ${rate} callbacks/s`,
  async run(rig, size) {
    const redis = await rig.startRedis();
    const merchant = await rig.startContestant('merchant');
    const env = { FORWARD_URL: merchant.url };
    const service = await rig.startService({ roles: ['receive', 'work'], redis, env });
    const requests = sized(size, rate * 10, 100);
    const rows: Row[] = [];
    for (const run of ['warm', 'first', 'second']) {
      await rig.load({ urls: [service.url], connections, requests, run, ratePerSecond: rate });
      await untilDelivered(redis, requests * (rows.length + 1));
      const { deliveries, p50Ms, p99Ms } = await merchantCounts(merchant);
      rows.push({ run, deliveries, 'p50 ms': round(p50Ms ?? Number.NaN, 2), 'p99 ms': round(p99Ms ?? Number.NaN, 2) });
    }
    for (const running of [service, merchant, redis]) await running.stop();
    return { rows, summary: {} };
  },
};
