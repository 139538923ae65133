// The footprint: start-up time, and resident memory idle and at 200 callbacks a second, of each role as compiled for the
// image, compared with a bare Fastify with its logger. Also the size of the production packages.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchRedis, Rig, Running } from '../rig.ts';
import { residentBytes } from '../resident-memory.ts';
import { sized, type Section, type Size } from '../section.ts';
import { median, round } from '../statistics.ts';

const root = path.resolve(import.meta.dirname, '../..');
const megabyte = 1_048_576;
const ratePerSecond = 200;
const settlePerSecond = 1_500;
const connections = 16;

/** What `receive` loads besides Fastify and pino: what a receiver of these packages cannot go below. */
const packagesOfReceiver = [
  'zod',
  'ioredis',
  'prom-client',
  '@fastify/rate-limit',
  '@fastify/helmet',
  '@opentelemetry/api',
];

interface Sample {
  readonly readyMs: number;
  readonly idleBytes: number;
  readonly busyBytes: number;
}

export const footprint: Section = {
  name: 'footprint',
  title: 'Start and resident memory of each role, compiled, and the size of the packages',
  async run(rig, size) {
    build();
    const redis = await rig.startRedis();
    const merchant = await rig.startContestant('merchant');
    const contestants = contestantsOf(rig, redis, merchant);
    const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]));
    for (let at = 0; at < size.rounds; at += 1)
      for (const { name, start } of contestants) {
        samples.get(name)?.push(await measure(rig, size, `${name}${at}`, start));
        await redis.client.flushall(); // leaves no backlog for the next contestant
      }
    const middle = (name: string, key: keyof Sample) => median((samples.get(name) ?? []).map((one) => one[key]));
    const rows = contestants.map(({ name }) => ({
      what: name,
      'ready ms': round(middle(name, 'readyMs')),
      'idle MB': round(middle(name, 'idleBytes') / megabyte),
      'MB at 200/s': round(middle(name, 'busyBytes') / megabyte),
    }));
    const ratio = (key: keyof Sample, name: string) => round(middle(name, key) / middle('bare Fastify', key), 2);
    const settled = await settle(rig, size, contestants.at(-1)?.start);
    const packages = round(productionPackagesBytes() / megabyte, 1);
    return {
      rows,
      summary: {
        'receive / bare, idle': ratio('idleBytes', 'receive'),
        'work / bare, idle': ratio('idleBytes', 'work'),
        'all / bare, idle': ratio('idleBytes', 'all'),
        'all / bare, ready': ratio('readyMs', 'all'),
        'all after 10,000 callbacks, MB': round(settled.firstBytes / megabyte),
        'all after 110,000 callbacks, MB': round(settled.lastBytes / megabyte),
        'production packages, MB': packages,
      },
    };
  },
};

function contestantsOf(rig: Rig, redis: BenchRedis, merchant: Running) {
  const env = { FORWARD_URL: merchant.url, GATEWAY_BASE_URL: 'http://127.0.0.1:9' };
  const role = (name: string) => ({
    name,
    start: () => rig.startService({ roles: [name], redis, env, compiled: true }),
  });
  return [
    { name: 'bare Fastify', start: () => rig.startContestant('bare-logged.mjs') },
    { name: 'bare, packages loaded', start: () => rig.startContestant('bare-logged.mjs', ...packagesOfReceiver) },
    ...['receive', 'work', 'reconcile', 'all'].map(role),
  ];
}

/** Receivers get callbacks; the other roles only run for the same time. */
async function measure(rig: Rig, size: Size, run: string, start: () => Promise<Running>): Promise<Sample> {
  const startedMs = performance.now();
  const running = await start();
  const readyMs = performance.now() - startedMs;
  await delay(sized(size, 5_000, 200));
  const idleBytes = residentBytes(running.pid);
  const requests = sized(size, ratePerSecond * 10, 40);
  if (/^(bare|receive|all)/.test(run))
    await rig.load({ urls: [running.url], connections, requests, run, ratePerSecond });
  else await delay((requests / ratePerSecond) * 1_000);
  const busyBytes = residentBytes(running.pid);
  await running.stop();
  return { readyMs, idleBytes, busyBytes };
}

/** Whether memory stops growing: resident after 10,000 delivered callbacks, and after 100,000 more. */
async function settle(rig: Rig, size: Size, start: (() => Promise<Running>) | undefined) {
  const running = await start?.();
  if (running === undefined) throw new Error('There is no contestant.');
  const { url, pid } = running;
  const load = async (run: string, requests: number) => {
    await rig.load({ urls: [url], connections, requests, run, ratePerSecond: settlePerSecond });
    return residentBytes(pid);
  };
  const firstBytes = await load('settle', sized(size, 10_000, 40));
  const lastBytes = await load('settled', sized(size, 100_000, 40));
  await running.stop();
  return { firstBytes, lastBytes };
}

function build(): void {
  const { status, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/build.ts')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The build failed:\n${stderr}`);
}

/** The part of node_modules that `npm ci --omit=dev` would install. */
function productionPackagesBytes(): number {
  const { stdout } = spawnSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root, encoding: 'utf8' });
  const folders = new Set(stdout.split('\n').filter((line) => line.includes('node_modules')));
  // Nested node_modules are listed as packages themselves.
  return [...folders].reduce((sum, folder) => sum + bytesOf(folder), 0);
}

function bytesOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? sum : sum + bytesOf(file);
    return entry.isFile() ? sum + statSync(file).size : sum;
  }, 0);
}
