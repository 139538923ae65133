// Whether accepting stays fast with many claims or a long backlog: one Redis server per state, the states in turn.
import { fillBacklog, remember } from '../backlog.ts';
import { withCpu } from '../cpu-time.ts';
import type { BenchRedis, Running } from '../rig.ts';
import { sized, type Section } from '../section.ts';
import { median, round } from '../statistics.ts';

const connections = 64;

interface State {
  readonly name: string;
  readonly redis: BenchRedis;
  readonly receiver: Running;
  readonly perSecond: number[];
  readonly redisUs: number[];
}

export const growth: Section = {
  name: 'growth',
  title: 'Accept throughput as memory and backlog grow',
  async run(rig, size) {
    const states: State[] = [];
    const prepare = async (remembered: number, backlog: number) => {
      const redis = await rig.startRedis();
      await fillBacklog(redis, 'old', Math.max(backlog, 1));
      await remember(redis, remembered);
      const receiver = await rig.startService({ roles: ['receive'], redis });
      const name = `${remembered} remembered, ${backlog} waiting`;
      states.push({ name, redis, receiver, perSecond: [], redisUs: [] });
    };
    await prepare(0, 0);
    if (!size.short) {
      await prepare(100_000, 0);
      await prepare(1_000_000, 0);
    }
    await prepare(0, sized(size, 500_000, 1_000));

    const requests = sized(size, 10_000, 200);
    for (let at = -1; at < size.rounds; at += 1) {
      for (const { redis, receiver, perSecond, redisUs } of states) {
        const load = { urls: [receiver.url], connections, requests, run: `r${at + 1}x` };
        const { result, cpu } = await withCpu([redis.pid], () => rig.load(load));
        if (at < 0) continue; // the first round is a warm-up
        perSecond.push(requests / result.seconds);
        redisUs.push((cpu[0] ?? Number.NaN) / requests);
      }
    }
    for (const { receiver, redis } of states) {
      await receiver.stop();
      await redis.stop();
    }
    const [first] = states;
    const against = (state: State) =>
      round(median(state.perSecond.map((one, index) => one / (first?.perSecond[index] ?? Number.NaN))), 2);
    return {
      rows: states.map((state) => ({
        state: state.name,
        'callbacks/s': round(median(state.perSecond)),
        'Redis us': round(median(state.redisUs), 1),
        'against empty': against(state),
      })),
      summary: Object.fromEntries(states.slice(1).map((state) => [`${state.name} / empty`, against(state)])),
    };
  },
};
