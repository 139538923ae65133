// The system under test: a Redis (optionally with a replica), two receivers, two workers, a merchant, and a reconciler
// with its gateway. Real processes, which can be killed and restarted at the same address. Every connection passes a
// proxy that can slow it, stall it or cut it.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { createGatewaySimulator } from '../../simulator/gateway.ts';
import { createMerchantSimulator, type MerchantSimulator } from '../../simulator/merchant.ts';
import { testKey } from '../support/callbacks.ts';
import { startRedis } from '../support/redis.ts';
import { canSlowFsync } from '../support/slow-fsync.ts';
import { makeSmallDisk } from '../support/small-disk.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import type { Got, Outage } from './auditor.ts';
import { keepProcess } from './kept-process.ts';
import { deniedAfter, remainingAfter } from './remaining.ts';
import { startReplica } from './replica.ts';

export interface WorldOptions {
  /** Runs a reconciler. The test adds its transactions to the gateway; the gateway does not know the load. */
  readonly reconciles?: boolean;
  /** Adds a replica, connected through a proxy, and sets REDIS_WAIT_REPLICAS. */
  readonly replica?: { readonly waitReplicas: number };
  /** The CONFIRM mode; unless it is `off`, the gateway must know the genuine callbacks. Default: `off`. */
  readonly confirm?: 'after' | 'before';
  readonly env?: Readonly<Record<string, string>>;
  /** Another version's `src/main.ts`, for all processes. */
  readonly program?: string | undefined;
}

export type World = Awaited<ReturnType<typeof startWorld>>;

/** A requirement of a fault that not every world or machine meets. */
export type Need = 'a disk that can be filled' | 'strace' | 'a reconciler' | 'a replica';

export const ackBudgetMs = 1_000;
/** Long enough that no fault of some seconds uses it up: a callback that is given up is a bug. */
const retries = ['200ms', '500ms', ...Array.from({ length: 90 }, () => '1s')].join(',');

export async function startWorld(options: WorldOptions = {}) {
  const { reconciles = false, replica: replicated, confirm = 'off', env: moreEnv = {}, program } = options;
  const dir = await makeTempDir('promises');
  const spool = makeSmallDisk(path.join(dir, 'disk'), 64);
  const spoolDir = path.join(spool.dir, 'spool');
  const redis = await startRedis();
  const redisProxy = await startTcpProxy({ target: redis.port });
  const replica = replicated === undefined ? undefined : await startReplica(redis);
  const admin = new Redis(redis.url, { maxRetriesPerRequest: null });
  admin.on('error', () => {}); // it is killed on purpose
  const merchant = createMerchantSimulator();
  const gateway = createGatewaySimulator({ keys: [testKey], statusCallsPerSecondMax: 10_000 });
  const [merchantAt, gatewayAt] = await Promise.all([merchant.listen(), gateway.listen()]);
  const merchantProxy = await startTcpProxy({ target: portOf(merchantAt.url) });
  const gatewayProxy = await startTcpProxy({ target: portOf(gatewayAt.url) });
  const env = {
    PAYALO_API_KEYS: testKey,
    REDIS_URL: `redis://127.0.0.1:${redisProxy.port}`,
    REDIS_WAIT_REPLICAS: String(replicated?.waitReplicas ?? 0),
    SPOOL_DIR: spoolDir,
    ACK_BUDGET: `${ackBudgetMs}ms`,
    SHUTDOWN_TIMEOUT: '4s',
    FORWARD_URL: throughProxy(merchantAt.url, merchantProxy.port),
    FORWARD_TIMEOUT: '2s',
    FORWARD_RETRIES: retries,
    GATEWAY_BASE_URL: throughProxy(gatewayAt.url, gatewayProxy.port),
    CONFIRM: confirm,
    CONFIRM_WAIT: '1h', // no outage is long enough to release an unconfirmed callback
    RECONCILE_EVERY: confirm === 'off' ? '1s' : '3s', // the gateway then lists the whole load
    RECONCILE_GRACE: '2s',
    LOG_LEVEL: 'info',
    ...moreEnv,
  };
  const keep = (name: string, role: string) => keepProcess({ name, role, env, program, dir });
  const [receivers, workers, reconcilers] = await Promise.all([
    Promise.all([keep('receiver-1', 'receive'), keep('receiver-2', 'receive')]),
    Promise.all([keep('worker-1', 'work'), keep('worker-2', 'work')]),
    Promise.all(reconciles ? [keep('reconciler', 'reconcile')] : []),
  ]);
  const processes = [...receivers, ...workers, ...reconcilers];
  const proxies = [redisProxy, merchantProxy, gatewayProxy];
  const outages: Outage[] = [];
  const removed = new Set<string>();
  const has = needsMet({ disk: spool.canBeFilled, reconciles, replica: replica !== undefined });

  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((process) => process.end()));
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await merchant.close();
    await gateway.close();
    admin.disconnect();
    await replica?.stop();
    await redis.stop();
    spool.remove();
    rmSync(dir, { recursive: true, force: true });
  };

  return {
    redis,
    redisProxy,
    replica,
    /** Retries through outages, without the proxy; faults use it to change Redis. */
    admin,
    merchant,
    merchantProxy,
    gateway,
    gatewayProxy,
    receivers,
    workers,
    reconcilers,
    processes,
    spoolDir,
    disk: spool,
    outages,
    has,
    /** Callbacks that another program removed or that were on a damaged page: these cannot be delivered. */
    removed,
    damaged: new Set<string>(),

    /** Records an outage of a part until the returned function is called. */
    outage(part: string): () => void {
      const outage: Outage = { part, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
      outages.push(outage);
      return () => {
        outage.toMs = performance.now();
      };
    },

    got: () => gotBy(merchant),

    denied: () => deniedAfter(processes),

    /** Stops the service's processes, then reads what they left. */
    remaining: () => remainingAfter({ processes, admin: replica?.promotedAdmin() ?? admin, spoolDir, removed }),

    [Symbol.asyncDispose]: stop,
  };
}

/** The deliveries, in the auditor's format. */
export function gotBy(merchant: Pick<MerchantSimulator, 'deliveries'>): Got[] {
  return merchant.deliveries().map(({ headers, webhookId, body, answered }) => ({
    reference: decodeURIComponent(String(headers['payalo-gateway-reference'])),
    webhookId: webhookId ?? 'none',
    body: body.toString('utf8'),
    taken: answered !== null && answered >= 200 && answered < 300,
  }));
}

interface Conditions {
  readonly disk: boolean;
  readonly reconciles: boolean;
  readonly replica: boolean;
}

function needsMet({ disk, reconciles, replica }: Conditions): (need: Need) => boolean {
  const met: Record<Need, boolean> = {
    'a disk that can be filled': disk,
    strace: canSlowFsync(),
    'a reconciler': reconciles,
    'a replica': replica,
  };
  return (need) => met[need];
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function throughProxy(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
