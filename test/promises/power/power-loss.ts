// Repeatedly cuts the power of a machine with a Redis and a service: every process dies at the same moment, and their
// files become what a disk would hold then. Callbacks answered 200 before must still exist afterwards.
//
// The senders and the merchant are on another machine and survive. In most rounds nothing is delivered, so that
// acknowledged callbacks stay in Redis or in the spool through many cuts.
import { Queue } from 'bullmq';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createMerchantSimulator } from '../../../simulator/merchant.ts';
import { startPrivateRedis, type PrivateRedis } from '../../support/private-redis.ts';
import { testKey } from '../../support/callbacks.ts';
import { redisServer } from '../../support/redis.ts';
import { makeTempDir } from '../../support/temp-dir.ts';
import { unsyncedSpoolFlags } from '../../support/unsynced-spool.ts';
import { until } from '../../support/until.ts';
import { audit, type Outage, type Report } from '../auditor.ts';
import { keepProcess } from '../kept-process.ts';
import { startLoad, type Answer } from '../../support/load.ts';
import { remainingAfter } from '../remaining.ts';
import { seeded } from '../run-promises.ts';
import { gotBy } from '../world.ts';
import { createDiskLog } from './disk-log.ts';
import { losePower, readDisk, type Way } from './lose-power.ts';
import { trailOf } from './trail.ts';

export interface PowerLossOptions {
  readonly cuts: number;
  readonly seed: number;
  /** The library from buildDiskLog. */
  readonly library: string;
  /** False: only at the end. The jobs of a killed worker come back only after half a minute. */
  readonly delivers?: boolean;
  /** A planted fault that must be detected: Redis syncs once a second, or the spool never. */
  readonly planted?: 'everysec' | 'unsynced spool' | undefined;
  readonly say?: (text: string) => void;
}

export interface PowerLossResult {
  readonly report: Report;
  readonly cuts: number;
  /** Cuts with a broken Redis at that moment or just before. */
  readonly cutsWithTrouble: number;
  /** Bytes written and not synced when the power failed. */
  readonly unsyncedBytes: number;
  readonly namesLost: number;
  /** How often Redis did not start until `redis-check-aof --fix` had cut off the torn end. */
  readonly repaired: number;
  /** For each lost or given-up callback: the cut before which it came, and its traces in Redis. */
  readonly trails: readonly string[];
}

/** What happens to Redis before each cut, in turn, so that a few cuts test the spool, Redis's file, and both. */
const troubles = ['killed', 'none', 'frozen', 'killed and back', 'none', 'rewriting its file'] as const;
type Trouble = (typeof troubles)[number];

const ackBudgetMs = 300;
const perSecond = 150;
const settleMs = 60_000;
const trailsMax = 10;

export async function runPowerLoss(options: PowerLossOptions): Promise<PowerLossResult> {
  await using machine = await startMachine(options);
  const random = seeded(options.seed);
  const answers: Answer[] = [];
  const cutOf = new Map<string, string>();
  const figures = { cutsWithTrouble: 0, unsyncedBytes: 0, namesLost: 0 };
  for (let cut = 1; cut <= options.cuts; cut += 1) {
    const trouble = options.planted === 'everysec' ? 'none' : (troubles[(cut - 1) % troubles.length] ?? 'none');
    const way: Way = random() < 0.5 ? 'lost' : 'torn';
    if (random() < 0.7 || options.delivers === false) await machine.holdBack();
    else await machine.letGo();
    const sent = await machine.runUntilCut(trouble, random);
    answers.push(...sent);
    for (const { reference } of sent) cutOf.set(reference, `cut ${cut} (${trouble}, ${way})`);
    const { unsyncedBytes, namesLost } = machine.losePower(way, random);
    const names = namesLost.length === 0 ? '' : `, without ${namesLost.join(' and ')}`;
    options.say?.(`cut ${cut}: ${trouble}, ${way}, ${unsyncedBytes} bytes unsynced${names}, ${answers.length} sent`);
    figures.cutsWithTrouble += trouble === 'none' ? 0 : 1;
    figures.unsyncedBytes += unsyncedBytes;
    figures.namesLost += namesLost.length;
    await machine.start();
  }
  const report = await machine.settle(answers);
  const trails = await machine.trails([...report.lost, ...report.failed].slice(0, trailsMax), cutOf);
  return { report, trails, cuts: options.cuts, repaired: machine.repaired(), ...figures };
}

async function startMachine({ library, planted }: PowerLossOptions) {
  const dir = await makeTempDir('power');
  const disk = path.join(dir, 'disk');
  const spoolDir = path.join(disk, 'service', 'data', 'spool');
  const log = createDiskLog(library, path.join(dir, 'log'));
  const server = redisServer();
  const redisDir = path.join(disk, 'redis');
  // Redis never syncs the name of the folder that it creates at its first start.
  await (await startPrivateRedis({ server, dir: redisDir })).stop();
  let before = readDisk(disk);
  const redis = await startPrivateRedis({
    server: { ...server, env: { ...server.env, ...log.env } },
    dir: redisDir,
    args: planted === 'everysec' ? ['--appendfsync', 'everysec'] : [],
  });
  const admin = new Redis(redis.url, { maxRetriesPerRequest: null });
  admin.on('error', () => {}); // it is killed on purpose
  const queue = new Queue('payalo-callbacks', { prefix: '{payalo}', connection: admin });
  queue.on('error', () => {});
  const merchant = createMerchantSimulator();
  const { url: merchantUrl } = await merchant.listen();
  const service = await keepProcess({
    name: 'service',
    role: 'all',
    nodeFlags: planted === 'unsynced spool' ? unsyncedSpoolFlags : [],
    env: {
      PAYALO_API_KEYS: testKey,
      REDIS_URL: redis.url,
      SPOOL_DIR: spoolDir,
      ACK_BUDGET: `${ackBudgetMs}ms`,
      SHUTDOWN_TIMEOUT: '4s',
      FORWARD_URL: merchantUrl,
      ...log.env,
    },
    dir,
  });
  let repaired = 0;
  const outages: Outage[] = [];

  return {
    repaired: () => repaired,
    holdBack: () => queue.pause(),
    letGo: () => queue.resume(),

    /** Load, and possibly a fault of Redis; then everything dies at a random moment. */
    async runUntilCut(trouble: Trouble, random: () => number): Promise<Answer[]> {
      const load = startLoad({ targets: [service.url], perSecond });
      await delay(100 + random() * 400);
      await makeTrouble(redis, admin, trouble, random);
      if (planted !== undefined) await acknowledges(load.answers);
      await delay(random() * 700);
      outages.push({ part: service.url, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY });
      for (const pid of [service.pid, redis.pid]) killNow(pid);
      await Promise.all([service.kill(), redis.kill('SIGKILL')]);
      await load.stop();
      return load.answers;
    },

    losePower(way: Way, random: () => number) {
      const lost = losePower(disk, { before, records: log.read(), way, random });
      log.clear();
      before = readDisk(disk);
      return lost;
    },

    async start(): Promise<void> {
      if (!(await starts(redis))) {
        repaired += 1;
        repairAppendOnlyFile(server, redisDir);
        await redis.restart();
      }
      await rewriteAppendOnlyFile(admin);
      await service.restart();
      const outage = outages.at(-1);
      if (outage !== undefined) outage.toMs = performance.now();
    },

    trails: (references: readonly string[], cutOf: ReadonlyMap<string, string>): Promise<string[]> =>
      Promise.all(references.map(async (reference) => `${cutOf.get(reference)}: ${await trailOf(admin, reference)}`)),

    /** Delivers the rest, and compares. */
    async settle(answers: readonly Answer[]): Promise<Report> {
      await queue.resume();
      const got = () => gotBy(merchant);
      const acknowledged = answers.filter(({ status }) => status === 200);
      const isDelivered = () => {
        const taken = new Set(got().flatMap((delivery) => (delivery.taken ? [delivery.reference] : [])));
        return acknowledged.every(({ reference }) => taken.has(reference));
      };
      // The auditor reports what is still missing.
      await until(isDelivered, { timeoutMs: planted === undefined ? settleMs : 4_000, everyMs: 250 }).catch(
        () => false,
      );
      return audit({
        answers,
        remaining: await remainingAfter({ processes: [service], admin, spoolDir, removed: new Set() }),
        got: got(),
        outages,
        truths: new Map(),
        destroyed: new Set(),
        answerWithinMs: ackBudgetMs + 2_000,
      });
    },

    async [Symbol.asyncDispose]() {
      await queue.close();
      admin.disconnect();
      await service.end();
      await redis.stop();
      await merchant.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A planted fault is only visible if there is something to lose. */
async function acknowledges(answers: readonly Answer[]): Promise<void> {
  const since = performance.now();
  const isAcknowledged = ({ status, sentAtMs }: Answer) => status === 200 && sentAtMs > since;
  await until(() => answers.filter(isAcknowledged).length >= 20);
}

async function makeTrouble(redis: PrivateRedis, admin: Redis, trouble: Trouble, random: () => number): Promise<void> {
  switch (trouble) {
    case 'none':
      return;
    case 'killed':
      return redis.kill('SIGKILL');
    case 'killed and back':
      await redis.kill('SIGKILL');
      await delay(random() * 500);
      return redis.restart();
    case 'frozen':
      return redis.kill('SIGSTOP');
    case 'rewriting its file':
      await admin.bgrewriteaof();
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It had already died.
  }
}

async function starts(redis: PrivateRedis): Promise<boolean> {
  return redis.restart().then(
    () => true,
    () => false,
  );
}

/**
 * The procedure of docs/operations.md after a power failure. Redis's file has no checksums: Redis may load a torn end
 * silently, and the tool that repairs the next torn end would cut off everything from there on.
 */
async function rewriteAppendOnlyFile(admin: Redis): Promise<void> {
  await admin.bgrewriteaof();
  const info = () => admin.info('persistence');
  await until(async () => /aof_rewrite_in_progress:0\s[^]*aof_rewrite_scheduled:0\s/.test(await info()));
  if (!(await info()).includes('aof_last_bgrewrite_status:ok'))
    throw new Error('Redis could not rewrite its append-only file.');
}

/** What an operator does when Redis finds a hole at the end of its append-only file. */
function repairAppendOnlyFile({ command, env }: ReturnType<typeof redisServer>, dir: string): void {
  const tool = path.join(path.dirname(command), path.basename(command).replace('server', 'check-aof'));
  const manifest = path.join(dir, 'appendonlydir', 'appendonly.aof.manifest');
  const { status, stdout, stderr } = spawnSync(tool, ['--fix', manifest], {
    input: 'y\n',
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(`${tool} could not repair ${manifest}:\n${stdout}${stderr}`);
}
