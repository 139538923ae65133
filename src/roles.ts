// Which stages a process runs, how they are wired, and in which order they stop.
//
// A callback passes receive -> intake -> queue -> deliver. The stop follows the same order: readiness turns 503 while
// callbacks are still accepted, then the listener closes, then the spool is drained, then deliveries end.
//
// Each stage's modules are loaded only by a process that runs it, which saves memory on small machines.
import { setTimeout as delay } from 'node:timers/promises';
import { createIntakeStage } from './intake/intake-stage.ts';
import { runStartChecks } from './ops/doctor/start-checks.ts';
import { createOperator } from './ops/operator.ts';
import { createBrandGate } from './store/brands/brand-gate.ts';
import { brandQueue } from './redis/brand-queue.ts';
import { createRedis, type RedisConnection } from './redis/connections.ts';
import type { ReadReport } from './store/report/read-report.ts';
import type { ReportDependencies } from './reconcile/report.ts';
import type { Config } from './config/config.ts';
import type { Role } from './config/role-names.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { createNameLookups } from './http/name-lookups.ts';
import { createTracing } from './telemetry/tracing.ts';

export interface Service {
  /** Stops everything in order, within SHUTDOWN_TIMEOUT. */
  stop(): Promise<void>;
}

/** How long load balancers get to notice the 503, as a share of SHUTDOWN_TIMEOUT and at most. */
const lookAwayShare = 0.3;
const lookAwayMaxMs = 8_000;
/** For requests in flight, as a share of SHUTDOWN_TIMEOUT; a client that is still sending afterwards is cut off. */
const closeShare = 0.2;
/** A sweep that is abandoned is repeated by the next reconciler. */
const reconcileStopMs = 2_000;
/** If Redis is not ready by then, the checks report that instead. */
const startCheckAfterMs = 10_000;
/** A merchant and a gateway, each possibly behind a proxy. */
const hostsPerBrand = 4;
/** NOTIFY_URL, possibly behind a proxy. */
const hostsElse = 1;
/** Reserved from SHUTDOWN_TIMEOUT for closing what is left. */
const stopMarginMs = 500;

export async function startRoles(config: Config, log: Log, metrics: Metrics): Promise<Service> {
  const tracing = await createTracing(config.otel, log);
  const connections: RedisConnection[] = [];
  // Slightly above the budget, so that the batch's deadline decides and not the timeout of a single command.
  const connect = (name: string, commandTimeoutMs = config.ACK_BUDGET + 500): RedisConnection => {
    const profile = { kind: 'producer', commandTimeoutMs } as const;
    const connection = createRedis(config.redis, profile, name, log);
    connections.push(connection);
    return connection;
  };

  const operateRedis = connect('operate');
  const connectBy = delay(config.ACK_BUDGET, undefined, { ref: false });
  await Promise.race([whenReady(operateRedis), connectBy]);
  const gate = createBrandGate({ redis: operateRedis, config, log });
  await gate.start();

  const stage = createIntakeStage({ config, log, metrics, gate, redis: operateRedis, connect });
  const { intake, quarantine, canStore } = stage;
  await stage.start();

  // Before any listener: a handler module that cannot be loaded must stop the start.
  const names = createNameLookups({ namesMax: config.brands.size * hostsPerBrand + hostsElse, log });
  const { lookup } = names;
  const deliverStage = await loadFor(config, 'work', () => import('./deliver/delivery.ts'));
  const delivery = deliverStage?.createDelivery({ config, log, metrics, tracing, lookup });
  await delivery?.check();

  const receiveStage = await loadFor(config, 'receive', () => import('./receive/receiver.ts'));
  const receiver = await receiveStage?.createReceiver({
    config,
    intake,
    quarantine: (refused, receivedMs) => quarantine.add(refused, receivedMs),
    log,
    metrics,
    tracing,
    canStore,
  });
  // The first caller should not meet a connection that is still being made; a Redis that is down is not waited for.
  await Promise.race([Promise.all([...stage.connections, operateRedis].map(whenReady)), connectBy]);
  if (receiver !== undefined) {
    log.info({ event: 'listener.started', listener: 'public', ...(await receiver.listen()) });
  }

  let isStopping = false;
  const operator = await createOperator({
    config,
    log,
    metrics,
    redis: operateRedis,
    quarantine,
    spool: stage.spool,
    isReady: () => !isStopping && (!config.roles.has('receive') || canStore()),
    isRedisUp: () => intake.isRedisUp(),
    readReport: readReportWith({ config, redis: operateRedis, log, lookup }),
    lookup,
  });
  log.info({ event: 'listener.started', listener: 'operator', ...(await operator.listen()) });

  void checkOnceConnected(config, operateRedis, log);
  for (const notice of noticesOf(config)) log.warn({ event: 'service.notice', notice });
  const reconcileStage = await loadFor(config, 'reconcile', () => import('./reconcile/reconciliation.ts'));
  const reconciliation = reconcileStage?.createReconciliation({
    config,
    log,
    metrics,
    redis: connect('reconcile'),
    intake,
    lookup,
  });
  const begin = async () => {
    if (isStopping) return;
    await delivery?.start();
    await reconciliation?.start();
  };
  if (gate.isOpen()) await begin();
  else void gate.whenOpen.then(begin);

  return {
    async stop() {
      const endsAtMs = performance.now() + config.SHUTDOWN_TIMEOUT - stopMarginMs;
      const leftMs = () => Math.max(endsAtMs - performance.now(), 0);
      isStopping = true;
      receiver?.drain();
      if (receiver !== undefined) await delay(Math.min(config.SHUTDOWN_TIMEOUT * lookAwayShare, lookAwayMaxMs));
      await receiver?.close(config.SHUTDOWN_TIMEOUT * closeShare);
      await reconciliation?.stop(Math.min(reconcileStopMs, leftMs() / 4));
      // The next process drains what is left in the spool; deliveries in flight must end here.
      await Promise.race([gate.tryOpen(), delay(leftMs() / 4, undefined, { ref: false })]); // Redis may just have come back
      await stage.drain.stop(leftMs() / 2);
      gate.stop();
      quarantine.stop();
      await delivery?.stop(Math.round(leftMs()));
      await operator.close();
      await stage.spool.close();
      await gate.leave();
      for (const connection of connections) connection.disconnect();
      names.close();
      await tracing?.stop(Math.max(leftMs(), stopMarginMs / 2));
    },
  };
}

async function loadFor<Stage>({ roles }: Config, role: Role, load: () => Promise<Stage>): Promise<Stage | undefined> {
  return roles.has(role) ? load() : undefined;
}

/** What `all` skips because it is not configured; for a role named explicitly the same is a configuration problem. */
function noticesOf({ roles, brands, HANDLER_MODULE, notices }: Config): readonly string[] {
  const delivers = HANDLER_MODULE !== undefined || [...brands.values()].some((brand) => brand.forwardUrl !== undefined);
  if (delivers || !roles.has('work')) return notices;
  return ['FORWARD_URL is not set: callbacks wait in the queue for a worker of your own', ...notices];
}

/** Loaded on the first request for a report. */
function readReportWith(dependencies: ReportDependencies): ReadReport {
  return async function* readReport(period, signal) {
    const { createReport } = await import('./reconcile/report.ts');
    yield* createReport(dependencies)(period, signal);
  };
}

/** Logs the checks of Redis's settings and the spool folder; nothing waits for them. */
async function checkOnceConnected(config: Config, redis: RedisConnection, log: Log): Promise<void> {
  await Promise.race([whenReady(redis), delay(startCheckAfterMs, undefined, { ref: false })]);
  const queues = [...config.brands.keys()].map((brand) => brandQueue(brand, config));
  await runStartChecks({ config, queues, redis, log });
}

function isReady(connection: RedisConnection): boolean {
  return connection.status === 'ready';
}

async function whenReady(connection: RedisConnection): Promise<void> {
  if (!isReady(connection)) await new Promise((resolve) => connection.once('ready', resolve));
}
