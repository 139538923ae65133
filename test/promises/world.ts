// Everything that runs while promises are put to the test: a Redis, two receivers, two workers, a merchant, and, where
// asked for, a reconciler with its gateway. Real processes, which can be killed and come back under the same address.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../scripts/private-redis.ts';
import { listSpool } from '../../src/intake/spool-by-hand.ts';
import { createGatewaySimulator } from '../../src/simulator/gateway.ts';
import { createMerchantSimulator } from '../../src/simulator/merchant.ts';
import { testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { startService, type TestService } from '../support/service.ts';
import { makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import type { Got, Outage, Remaining } from './auditor.ts';

export interface WorldOptions {
  readonly reconciles?: boolean;
}

export type World = Awaited<ReturnType<typeof startWorld>>;
export type KeptProcess = Awaited<ReturnType<typeof keep>>;

export const ackBudgetMs = 1_000;
const queue = '{payalo}:payalo-callbacks';
/** Long enough that no fault of some seconds uses it up: what is given up then is a fault of ours. */
const retries = ['200ms', '500ms', ...Array.from({ length: 90 }, () => '1s')].join(',');

export async function startWorld({ reconciles = false }: WorldOptions = {}) {
  const dir = await makeTempDir('promises');
  const spool = makeSmallDisk(path.join(dir, 'disk'), 64);
  const spoolDir = path.join(spool.dir, 'spool');
  const redis = await startRedis();
  const admin = new Redis(redis.url, { maxRetriesPerRequest: null });
  admin.on('error', () => {}); // it is killed on purpose
  const merchant = createMerchantSimulator();
  const gateway = createGatewaySimulator({ keys: [testKey], statusCallsPerSecondMax: 10_000 });
  const [{ url: forwardUrl }, { url: gatewayUrl }] = await Promise.all([merchant.listen(), gateway.listen()]);
  const env = {
    PAYALO_API_KEYS: testKey,
    REDIS_URL: redis.url,
    SPOOL_DIR: spoolDir,
    ACK_BUDGET: `${ackBudgetMs}ms`,
    SHUTDOWN_TIMEOUT: '4s',
    FORWARD_URL: forwardUrl,
    FORWARD_TIMEOUT: '2s',
    FORWARD_RETRIES: retries,
    GATEWAY_BASE_URL: gatewayUrl,
    RECONCILE_EVERY: '1s',
    RECONCILE_GRACE: '2s',
    LOG_LEVEL: 'info',
  };
  const outages: Outage[] = [];
  const [first, second, ...others] = await Promise.all([
    keep(['receive'], env),
    keep(['receive'], env),
    keep(['work'], env),
    keep(['work'], env),
    ...(reconciles ? [keep(['reconcile'], env)] : []),
  ]);
  const receivers = [first, second];
  const workers = others.slice(0, 2);
  const processes = [first, second, ...others];

  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((process) => process.end()));
    await merchant.close();
    await gateway.close();
    admin.disconnect();
    await redis.stop();
    spool.remove();
    rmSync(dir, { recursive: true, force: true });
  };

  return {
    redis,
    /** Waits through outages; for what a fault does to Redis. */
    admin,
    merchant,
    gateway,
    receivers,
    workers,
    processes,
    spoolDir,
    disk: spool,
    outages,

    /** Notes that a part is out of order until the returned function is called. */
    outage(part: string): () => void {
      const outage: Outage = { part, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
      outages.push(outage);
      return () => {
        outage.toMs = performance.now();
      };
    },

    got: (): Got[] =>
      merchant.deliveries().map(({ headers, webhookId, body, answered }) => ({
        reference: decodeURIComponent(String(headers['payalo-gateway-reference'])),
        webhookId: webhookId ?? 'none',
        body: body.toString('utf8'),
        taken: answered !== null && answered >= 200 && answered < 300,
      })),

    /** Ends the service's processes, then looks at what they left. */
    async remaining(): Promise<Remaining> {
      await Promise.all(processes.map((process) => process.stop()));
      const spooled = listSpool(spoolDir, 100_000).flatMap(({ callbacks }) => callbacks);
      return {
        queued: new Set(await references(admin, ['wait', 'active', 'delayed', 'paused'])),
        failed: new Set(await references(admin, ['failed'])),
        spooled: new Set(spooled.map(({ gatewayReference }) => gatewayReference ?? 'unreadable')),
        quarantined: new Set(await admin.zrange(`${queue}/q`, '0', '-1')),
      };
    },

    [Symbol.asyncDispose]: stop,
  };
}

/** A process of the service that keeps its addresses over restarts. */
async function keep(roles: readonly string[], env: Record<string, string>) {
  const ports = { PORT: String(await freePort()), OPS_PORT: String(await freePort()) };
  const start = () => startService({ roles, env: { ...env, ...ports }, readyMs: 30_000 });
  let running: TestService | undefined = await start();
  return {
    url: `http://127.0.0.1:${ports.PORT}`,
    /** The log lines of the present run. */
    logs: () => running?.logs ?? [],
    async kill(): Promise<void> {
      running?.kill('SIGKILL');
      await running?.exited;
      running = undefined;
    },
    async restart(): Promise<void> {
      running ??= await start();
    },
    async stop(): Promise<void> {
      await running?.stop();
    },
    async end(): Promise<void> {
      await running?.[Symbol.asyncDispose]();
    },
  };
}

async function references(redis: Redis, states: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const state of states) {
    const key = `${queue}:${state}`;
    const isList = (await redis.type(key)) === 'list';
    for (const id of isList ? await redis.lrange(key, 0, -1) : await redis.zrange(key, '0', '-1')) {
      const data = await redis.hget(`${queue}:${id}`, 'data');
      found.push(String(JSON.parse(data ?? '{}').gatewayReference));
    }
  }
  return found;
}
