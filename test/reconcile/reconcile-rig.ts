// The rig for the tests of reconciliation: a real Redis, the simulated gateway over real HTTP, the real intake, and a
// settable clock. There are no deliveries: tests read the queue.
import { createIntake, type IntakeOutcome } from '../../src/intake/intake.ts';
import { createStore } from '../../src/intake/redis-store.ts';
import { parseCallbackText, type Callback } from '../../src/callback/parse-callback.ts';
import { brandQueue, keysOf, type BrandQueue } from '../../src/redis/brand-queue.ts';
import { createRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { jobSchema, type JobData, type Source } from '../../src/callback/job.ts';
import { createBrandScopes, type BrandScope, type ReconcileDependencies } from '../../src/reconcile/brand-scope.ts';
import { createLookUps } from '../../src/reconcile/brand-reconciler.ts';
import type { Clock } from '../../src/reconcile/clock.ts';
import { createReconciliation } from '../../src/reconcile/reconciliation.ts';
import type { SweepMode } from '../../src/reconcile/sweep/sweep-window.ts';
import { pageSizeDefault } from '../../src/reconcile/sweep/window-pages.ts';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  createGatewaySimulator,
  simulatorKey,
  type GatewaySimulator,
  type GatewaySimulatorOptions,
} from '../../simulator/gateway.ts';
import { systemClock } from '../../src/reconcile/clock.ts';

export interface RigOptions {
  readonly redisUrl: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly gateway?: GatewaySimulatorOptions;
}

export type Rig = Awaited<ReturnType<typeof createRig>>;

let rigs = 0;

export async function createRig({ redisUrl, environment = {}, gateway: gatewayOptions = {} }: RigOptions) {
  const gateway = createGatewaySimulator({ callbackDelayMs: 1, ...gatewayOptions });
  const { url } = await gateway.listen();
  rigs += 1;
  const config = configOf({
    REDIS_URL: redisUrl,
    QUEUE_PREFIX: `{rig${process.pid}.${rigs}}`,
    GATEWAY_BASE_URL: url,
    GATEWAY_API_KEY: simulatorKey,
    RECONCILE_GRACE: '0ms',
    RECONCILE_EVERY: '200ms',
    ...environment,
  });
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  const redis = createRedis(config.redis, { kind: 'producer', commandTimeoutMs: 3_000 }, 'rig', log);
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
  const clock = movableClock();
  const metrics = createMetrics();
  const intake = createIntakeOf(config, redis);
  const dependencies: ReconcileDependencies = { config, redis, intake, log, metrics, clock };
  const scopes = createBrandScopes(dependencies);
  const [scope] = scopes;
  if (scope === undefined) throw new Error('The rig has no brand.');

  return {
    gateway,
    config,
    redis,
    clock,
    metrics,
    intake,
    dependencies,
    scope,
    queue: scope.queue,
    lines,
    logged: (event: string) => lines.filter((line) => line['event'] === event),
    reconciliation: (settings: Parameters<typeof createReconciliation>[1] = {}) =>
      createReconciliation(dependencies, { windowMs: 6 * 3_600_000, ...settings }), // fewer calls at their slow pace
    jobs: () => readJobs(redis, scope.queue),
    /** A scope whose intake always returns this outcome. */
    scopeSaying: (outcome: IntakeOutcome): BrandScope => ({
      ...scope,
      intake: { ...intake, accept: async () => outcome },
    }),
    /** Receives the gateway's callback. */
    receive: (body: string, source: Source = 'callback') => receive(scope, body, source),
    async close(): Promise<void> {
      redis.disconnect();
      await Promise.all(scopes.map((one) => one.gateway.close()));
      await gateway.close();
    },
    [Symbol.asyncDispose]() {
      return this.close();
    },
  };
}

function configOf(environment: Readonly<Record<string, string>>): Config {
  const loaded = loadConfig(environment, ['reconcile']);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

function createIntakeOf(config: Config, redis: RedisConnection) {
  const log = createLog({ level: 'silent' });
  return createIntake({
    storeFor: (brand) =>
      createStore({
        connections: [redis],
        queue: brandQueue(brand, config),
        settings: config,
        waitReplicas: 0,
        waitTimeoutMs: 1_000,
      }),
    spool: {
      append: async () => ({ kind: 'failed', code: 'NO_SPOOL' }),
      canStore: () => false,
      stats: () => ({ entries: 0, bytes: 0, bytesMax: 0 }),
    },
    settings: { budgetMs: 3_000, spoolBytesMax: 1_000_000 },
    log,
  });
}

export interface MovableClock extends Clock {
  /** Advances the time; does not shorten sleeps. */
  advance(ms: number): void;
  /** Sets the clock without time passing. */
  set(byMs: number): void;
}

function movableClock(): MovableClock {
  let aheadMs = 0;
  let passedMs = 0;
  return {
    now: () => Date.now() + aheadMs,
    elapsed: () => systemClock.elapsed() + passedMs,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    advance(ms) {
      aheadMs += ms;
      passedMs += ms;
    },
    set(byMs) {
      aheadMs += byMs;
    },
  };
}

export function callbackFrom(body: string): Callback {
  const parsed = parseCallbackText(body);
  if (parsed.kind !== 'callback') throw new Error(parsed.detail);
  return parsed.callback;
}

async function receive({ intake, brand, clock }: BrandScope, body: string, source: Source) {
  const receivedAt = new Date(clock.now()).toISOString();
  return intake.accept({ callback: callbackFrom(body), origin: { brand, source, receivedAt, requestId: 'test' } });
}

/** All queued callbacks, in order of arrival. */
async function readJobs(redis: RedisConnection, queue: BrandQueue): Promise<JobData[]> {
  const ids = await redis.lrange(`${queue.base}:wait`, 0, -1);
  const data = await Promise.all(ids.map((id) => redis.hget(keysOf.job(queue, id), 'data')));
  return data.toReversed().map((text) => jobSchema.parse(JSON.parse(text ?? '')));
}

/** Runs one round of each kind of look-up to its end. */
export async function lookUp({ scope }: Pick<Rig, 'scope'>): Promise<void> {
  const { signal } = new AbortController();
  for (const lane of createLookUps(scope)) {
    await lane.start(signal);
    await lane.idle();
  }
}

export function sweepMode(overrides: Partial<SweepMode> = {}): SweepMode {
  return {
    inject: true,
    force: false,
    pageSize: pageSizeDefault,
    requestId: 'test-sweep',
    ...overrides,
  };
}

export function isoAgo(ms: number): string {
  return new Date(Date.now() - ms).toISOString();
}

export type { GatewaySimulator };
