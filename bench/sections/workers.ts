// One and two `work` processes on the same backlog, Redis and merchant, in turn. The CPU share of each process shows
// the bottleneck: Node, Redis or the merchant.
//
// With a merchant that answers at once, the processors are the limit. With a slow one FORWARD_CONCURRENCY is, so two
// processes are compared with one that has the same number of connections.
import { type BenchRedis, type Rig, type Running } from '../rig.ts';
import { sized, type Row, type Section } from '../section.ts';
import { median, round } from '../statistics.ts';
import { drainBacklog, pace } from './drain.ts';

/** The default of FORWARD_CONCURRENCY. */
const concurrency = 50;
const slowMs = 50;

interface Case {
  readonly answerMs: number;
  readonly processes: number;
  readonly concurrency: number;
  readonly samples: Sample[];
}

interface Sample {
  readonly perSecond: number;
  /** Share of one processor, all workers together. */
  readonly nodeShare: number;
  readonly redisShare: number;
  readonly merchantShare: number;
  readonly nodeUs: number;
  readonly redisUs: number;
}

export const workers: Section = {
  name: 'workers',
  title: 'Two processes of work against one, on one Redis and one merchant',
  async run(rig, size) {
    const redis = await rig.startRedis();
    const merchants = new Map<number, Running>();
    for (const answerMs of [0, slowMs]) {
      merchants.set(answerMs, await rig.startContestant('merchant', String(answerMs)));
    }
    const cases = [
      caseOf(0, 1),
      caseOf(0, 2),
      caseOf(slowMs, 1),
      caseOf(slowMs, 2),
      caseOf(slowMs, 1, concurrency * 2),
    ];
    for (let at = 0; at < size.rounds; at += 1) {
      // Alternate rounds run in reverse order, so that the after-effects of a round affect each contestant.
      for (const one of at % 2 === 0 ? cases : cases.toReversed()) {
        const merchant = merchants.get(one.answerMs);
        if (merchant === undefined) throw new TypeError(`No merchant answers after ${one.answerMs} ms.`);
        const callbacks = sized(size, one.answerMs === 0 ? 20_000 : 5_000, 300);
        one.samples.push(await measure(rig, redis, merchant, one, callbacks));
      }
    }
    for (const running of [...merchants.values(), redis]) await running.stop();
    const [instantOne, instantTwo, slowOne, slowTwo, slowWide] = cases;
    return {
      rows: cases.map(rowOf),
      summary: {
        'two processes / one, merchant at once': ratio(instantTwo, instantOne),
        [`two processes / one, merchant of ${slowMs} ms`]: ratio(slowTwo, slowOne),
        [`one process of ${concurrency * 2} / two of ${concurrency}, merchant of ${slowMs} ms`]: ratio(
          slowWide,
          slowTwo,
        ),
      },
    };
  },
};

function caseOf(answerMs: number, processes: number, ofEach = concurrency): Case {
  return { answerMs, processes, concurrency: ofEach, samples: [] };
}

async function measure(rig: Rig, redis: BenchRedis, merchant: Running, one: Case, callbacks: number): Promise<Sample> {
  const env = { FORWARD_URL: merchant.url, FORWARD_CONCURRENCY: String(one.concurrency) };
  const startWorkers = async () => {
    const started: Running[] = [];
    while (started.length < one.processes) started.push(await rig.startService({ roles: ['work'], redis, env }));
    return started;
  };
  const { cpu, seconds } = await drainBacklog(redis, callbacks, { startWorkers, beside: [merchant] });
  const [ofRedis = Number.NaN, ofMerchant = Number.NaN, ...ofWorkers] = cpu;
  const ofNode = ofWorkers.reduce((sum, used) => sum + used, 0);
  const share = (usedUs: number) => usedUs / (seconds * 1_000_000);
  return {
    perSecond: await pace(merchant),
    nodeShare: share(ofNode),
    redisShare: share(ofRedis),
    merchantShare: share(ofMerchant),
    nodeUs: ofNode / callbacks,
    redisUs: ofRedis / callbacks,
  };
}

/** Of the runs of one round. */
function ratio(above: Case | undefined, below: Case | undefined): number {
  const ofRounds = above?.samples.map((one, at) => one.perSecond / (below?.samples[at]?.perSecond ?? Number.NaN)) ?? [];
  return round(median(ofRounds), 2);
}

function rowOf({ answerMs, processes, concurrency: ofEach, samples }: Case): Row {
  const middle = (key: keyof Sample, digits: number) => round(median(samples.map((one) => one[key])), digits);
  return {
    merchant: answerMs === 0 ? 'at once' : `${answerMs} ms`,
    processes,
    FORWARD_CONCURRENCY: ofEach,
    'callbacks/s': middle('perSecond', 0),
    'Node us': middle('nodeUs', 1),
    'Redis us': middle('redisUs', 1),
    'Node busy': middle('nodeShare', 2),
    'Redis busy': middle('redisShare', 2),
    'merchant busy': middle('merchantShare', 2),
  };
}
