// The operator's side of the service: the listener with /metrics, /livez, /readyz, the API below /v1 and the console at /,
// and background work (retention, the console's rates).
//
// If OPS_TOKEN is set, everything below /v1 and the console needs a token; probes and metrics never do. While Redis is down
// the listener stays up, reports what it still knows, and answers 503 to the rest.
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Quarantine } from '../intake/quarantine/quarantine.ts';
import { brandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { createClaimKeeper } from '../store/lifecycle/claim-keeper.ts';
import { createDeliveryFollower } from '../store/callbacks/delivery-records.ts';
import { createCallbackIndex } from '../store/callbacks/callback-index.ts';
import { createRetention } from '../store/lifecycle/retention.ts';
import { createStranded } from '../store/lifecycle/stranded.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { problem } from '../http/problem.ts';
import type { Egress } from '../http/http-pool.ts';
import { cannotListen } from '../http/listen-error.ts';
import { expectationRoutes } from './api/expectation-routes.ts';
import { actionRoutes } from './api/action-routes.ts';
import { createActions } from './actions.ts';
import { createAudit } from './audit.ts';
import { callbackRoutes } from './api/callback-routes.ts';
import { serveConsole } from './console/console.ts';
import { createOperatorServer, sendProblem } from './api/operator-server.ts';
import type { NotificationsDeps } from './notify/create-notifications.ts';
import { createOverview } from './overview.ts';
import { reportRoutes } from './api/report-routes.ts';
import type { ReadReport } from '../store/report/read-report.ts';
import { quarantineRoutes } from './api/quarantine-routes.ts';
import { createQueueGauges } from './queue-gauges.ts';
import { createQueueState } from './queue-state.ts';
import { createRates } from './rates.ts';
import { createReconciliationOverview } from './reconciliation-overview.ts';
import { createSpooledCallbacks, type SpoolReader } from './spooled-callbacks.ts';
import { stateRoutes } from './api/state-routes.ts';

export interface OperatorDeps {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  /** A producer connection with a command timeout of a few seconds. Its owner closes it. */
  readonly redis: RedisConnection;
  readonly quarantine: Quarantine;
  readonly spool: SpoolReader;
  /** Whether this process can work now; the answer of /readyz. */
  readonly isReady: () => boolean;
  /** Whether Redis accepted the last callback of this process. */
  readonly isRedisUp: () => boolean;
  readonly readReport: ReadReport;
  readonly lookup?: Egress['lookup'];
}

export async function createOperator(deps: OperatorDeps) {
  const { config, log, metrics, redis, quarantine, spool, isReady, isRedisUp, readReport, lookup } = deps;
  const brands = [...config.brands.keys()];
  const queues = new Map(brands.map((brand) => [brand, brandQueue(brand, config)]));
  // Data that belongs to no brand (the rates) is stored beside the first brand's keys.
  const shared = brandQueue(brands[0] ?? '', config);
  const spooled = createSpooledCallbacks(spool, brands);
  const callbackIndex = createCallbackIndex({
    redis,
    queues,
    findSpooled: spooled.find,
    listSpooled: spooled.list,
  });
  const queueState = createQueueState({ redis, queues });
  const refreshGauges = createQueueGauges({ queueState, isRedisUp, metrics, log });
  const audit = createAudit({ redis, queues: [...queues.values()], log });
  const actions = createActions({ redis, queues, callbackIndex, quarantine, audit, config, metrics, log });
  const reconciliation = createReconciliationOverview({ redis, queues });
  const { notices } = config;
  const overview = createOverview({ redis, queues, queueState, reconciliation, spool, notices });
  const reads = { overview, reconciliation, callbackIndex, isRedisUp };
  const notifications = await prepareNotifications({ config, redis, queue: shared, ...reads, metrics, log, lookup });
  const rates = createRates({ redis, queue: shared, queueState, metrics, log });
  const retention = createRetention({ redis, queues, config, log });
  const stranded = createStranded({ redis, queues, log });
  const claimKeeper = createClaimKeeper({ redis, queues, config, log });
  const follower = createDeliveryFollower({ redis, queues, log });
  const keepers = [retention, stranded, follower, claimKeeper, rates, ...(notifications ? [notifications] : [])];

  const server = await createOperatorServer({
    tokens: config.opsTokens,
    trustProxy: config.TRUST_PROXY,
    userHeader: config.OPS_USER_HEADER,
    idleMs: config.KEEP_ALIVE_TIMEOUT,
    log,
  });
  const { app } = server;
  serveProbes(app, isReady);
  app.get('/metrics', needsNothing, async (_request, reply) => {
    await refreshGauges();
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  server.serve([
    ...callbackRoutes({ callbackIndex }),
    ...actionRoutes({ actions }),
    ...expectationRoutes({ actions }),
    ...quarantineRoutes({ quarantine, actions }),
    ...stateRoutes({ overview, reconciliation, audit }),
    ...reportRoutes(readReport),
  ]);
  await serveConsole(app, {
    askerOf: server.askerOf,
    callbackIndex,
    quarantine,
    actions,
    audit,
    overview,
    queueState,
    rates,
    reconciliation,
    readReport,
    callbackUrl: `http://127.0.0.1:${config.PORT}${config.CALLBACK_PATH}`,
  });

  return {
    async listen(): Promise<{ host: string; port: number }> {
      await app.listen({ host: config.OPS_HOST, port: config.OPS_PORT }).catch((error: unknown) => {
        throw cannotListen('OPS_', config.OPS_HOST, config.OPS_PORT, error);
      });
      for (const keeper of keepers) keeper.start();
      return { host: config.OPS_HOST, port: portOf(app.server.address()) };
    },

    async close(): Promise<void> {
      await actions.stop();
      await app.close();
      await Promise.all(keepers.map(async (keeper) => keeper.stop()));
    },
  };
}

/** Without NOTIFY_URL nothing is loaded or run. */
async function prepareNotifications(deps: Omit<NotificationsDeps, 'url'>) {
  const url = deps.config.NOTIFY_URL;
  if (url === undefined) return undefined;
  const { createNotifications } = await import('./notify/create-notifications.ts');
  return createNotifications({ ...deps, url });
}

const needsNothing = { config: { needs: 'nothing' } } as const;

function serveProbes(app: FastifyInstance, isReady: () => boolean): void {
  app.get('/livez', needsNothing, async () => ({ status: 'ok' }));
  app.get('/readyz', needsNothing, async (_request, reply) =>
    isReady()
      ? { status: 'ok' }
      : sendProblem(reply, problem(503, 'not-ready', 'The service cannot accept callbacks now.')),
  );
}

/** The port that the system chose if OPS_PORT is 0. */
function portOf(address: string | AddressInfo | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
