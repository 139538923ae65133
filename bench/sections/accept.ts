// The accept rate at 64 connections, compared with the bare route, the plain handler and the service without Redis; in
// turn, several rounds, with the CPU time of each.
import { preemptions, withCpu } from '../cpu-time.ts';
import type { BenchRedis, Rig, Running } from '../rig.ts';
import { sized, type Section, type Size } from '../section.ts';
import { median, round } from '../statistics.ts';

const connections = 64;

export const accept: Section = {
  name: 'accept',
  title: `Accept throughput, ${connections} connections`,
  async run(rig, size) {
    const redis = await rig.startRedis();
    const names: readonly string[] = [
      'bare',
      'plain',
      'service',
      'alone',
      'list',
      ...(size.against === undefined ? [] : ['before']),
    ];
    const contestants = new Map<string, Contestant>();
    for (const name of names) {
      const running = await start(rig, redis, name, size);
      contestants.set(name, { running, samples: [] });
      // Node optimises hot functions only after about ten thousand callbacks.
      await sample(rig, redis, running, 'warm', sized(size, 40_000, 200));
    }
    for (let at = 0; at < size.rounds; at += 1) {
      for (const { running, samples } of contestants.values()) {
        samples.push(await sample(rig, redis, running, `r${at}`, sized(size, 20_000, 300)));
        await redis.client.flushall();
      }
    }
    for (const { running } of contestants.values()) await running.stop();
    await redis.stop();
    const ratio = (name: string, to: string) => {
      const [ours, theirs] = [contestants.get(name)?.samples ?? [], contestants.get(to)?.samples ?? []];
      return round(median(ours.map((one, at) => one.perSecond / (theirs[at]?.perSecond ?? Number.NaN))), 2);
    };
    return {
      rows: [...contestants].map(([name, { samples }]) => ({
        contestant: labels.get(name) ?? name,
        ...rowOf(samples),
      })),
      summary: {
        'service / bare': ratio('service', 'bare'),
        'service / plain': ratio('service', 'plain'),
        'plain / bare': ratio('plain', 'bare'),
        'nothing stored / bare': ratio('alone', 'bare'),
        'appended to a list / bare': ratio('list', 'bare'),
        'service / appended to a list': ratio('service', 'list'),
        ...(size.against !== undefined && { 'service / before': ratio('service', 'before') }),
      },
    };
  },
};

interface Contestant {
  readonly running: Running;
  readonly samples: Sample[];
}

const labels = new Map([
  ['bare', 'bare route (a)'],
  ['plain', 'plain GET-add-SET (b)'],
  ['service', 'this service'],
  ['alone', 'this service, nothing stored'],
  ['list', 'bare route, appended to a list'],
  ['before', 'the service of --against'],
]);

async function start(rig: Rig, redis: BenchRedis, name: string, size: Size): Promise<Running> {
  switch (name) {
    case 'bare':
      return rig.startContestant('bare-route');
    case 'plain':
      return rig.startContestant('plain-handler', redis.url);
    case 'list':
      return rig.startContestant('plain-list', redis.url);
    case 'alone':
      return rig.startContestant('receiver-alone');
    default:
      return rig.startService({ roles: ['receive'], redis, checkout: name === 'before' ? size.against : undefined });
  }
}

interface Sample {
  readonly perSecond: number;
  readonly nodeUs: number;
  readonly redisUs: number;
  readonly loadUs: number;
  /** CPU time of the Node process per callback. */
  readonly preemptions: number;
  readonly p99Ms: number;
}

async function sample(
  rig: Rig,
  redis: BenchRedis,
  { pid, url }: Running,
  run: string,
  requests: number,
): Promise<Sample> {
  const load = { urls: [url], connections, requests, run };
  const preemptionsBefore = preemptions(pid);
  const { result, cpu } = await withCpu([pid, redis.pid], () => rig.load(load));
  const preempted = (preemptions(pid) - preemptionsBefore) / requests;
  const [nodeUs = Number.NaN, redisUs = Number.NaN] = cpu.map((used) => used / requests);
  const loadUs = result.cpuMicroseconds / requests;
  return { perSecond: requests / result.seconds, nodeUs, redisUs, loadUs, preemptions: preempted, p99Ms: result.p99Ms };
}

function rowOf(samples: readonly Sample[]) {
  const middle = (key: keyof Sample) => median(samples.map((one) => one[key]));
  return {
    'callbacks/s': round(middle('perSecond')),
    'Node us': round(middle('nodeUs'), 1),
    'Redis us': round(middle('redisUs'), 1),
    'load us': round(middle('loadUs'), 1),
    preempted: round(middle('preemptions'), 2),
    'p99 ms': round(middle('p99Ms'), 1),
  };
}
