// The state of the service at a glance: the console's first page and `GET /v1/overview`.
//
// Values that cannot be read (Redis is down) are null; the rest is still reported.
import * as z from 'zod';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { readForwarding } from '../store/lifecycle/forwarding.ts';
import { jobCountsSchema, type ReadQueueState } from './queue-state.ts';
import { reconciliationSchema, type ReadReconciliation } from './reconciliation-overview.ts';
import type { SpoolReader } from './spooled-callbacks.ts';

const time = z.iso.datetime();

const forwardingSchema = z.object({
  brand: z.string(),
  paused: z.boolean(),
  breaker: z.enum(['closed', 'open', 'recovering']),
  openSince: time.nullable(),
  undelivered: z.int().describe('Callbacks that wait, are being delivered, retried or held.'),
  oldestUndelivered: time.nullable().describe('When the oldest of them was received or replayed.'),
  lastDelivered: time.nullable().describe('The time of the last delivery; null if unknown.'),
});

export const overviewSchema = z.object({
  redis: z.object({ up: z.boolean(), usedBytes: z.number().nullable(), maxBytes: z.number().nullable() }),
  jobs: jobCountsSchema.nullable(),
  oldestWaitingSeconds: z.number().nullable(),
  oldestUndeliveredSeconds: z.number().nullable(),
  notices: z.array(z.string()).describe('Likely mistakes in the configuration.'),
  quarantineEntries: z.int().nullable(),
  unconfirmed: z.int().nullable().describe('Callbacks that the gateway has not confirmed or denied yet.'),
  mismatched: z.int().nullable().describe('Callbacks of the last day whose amount is not the ordered one.'),
  denied: z.int().nullable().describe('Callbacks that the gateway denied within a day, after they were delivered.'),
  spool: z.object({ entries: z.int(), bytes: z.int(), bytesMax: z.int() }),
  forwarding: z.array(forwardingSchema).nullable(),
  reconciliation: reconciliationSchema
    .omit({ sweeps: true, brands: true })
    .extend({ foundLastHour: z.int().describe('Callbacks that the sweeps of the last hour had to inject.') })
    .nullable(),
});

export type Overview = z.infer<typeof overviewSchema>;

export interface OverviewDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly queueState: ReadQueueState;
  readonly reconciliation: ReadReconciliation;
  readonly spool: SpoolReader;
  readonly notices: readonly string[];
  readonly now?: () => number;
}

const hourMs = 3_600_000;

export function createOverview(deps: OverviewDeps) {
  const { redis, queues, queueState, reconciliation, spool, notices, now = Date.now } = deps;

  async function forwarding(): Promise<Overview['forwarding']> {
    const { brands } = await queueState();
    return Promise.all(
      [...queues.values()].map(async (queue) => {
        const { openSinceMs, ...rest } = await readForwarding(redis, queue);
        const state = brands.find(({ brand }) => brand === queue.brand);
        return {
          brand: queue.brand,
          ...rest,
          openSince: toTime(openSinceMs),
          undelivered: state?.undelivered ?? 0,
          oldestUndelivered: toTime(state?.oldestUndeliveredMs),
          lastDelivered: toTime(state?.lastDeliveredMs),
        };
      }),
    );
  }

  return async function overview(): Promise<Overview> {
    const [queue, flow, sweeps] = await Promise.all([
      queueState().catch(() => undefined),
      forwarding().catch(() => null),
      reconciliation().catch(() => undefined),
    ]);
    const { entries, bytes, bytesMax } = spool.stats();
    return {
      redis: {
        up: queue !== undefined,
        usedBytes: queue?.memory?.usedBytes ?? null,
        maxBytes: queue?.memory?.maxBytes ?? null,
      },
      jobs: queue?.jobs ?? null,
      oldestWaitingSeconds: queue?.oldestWaitingSeconds ?? null,
      oldestUndeliveredSeconds: queue?.oldestUndeliveredSeconds ?? null,
      notices: [...notices],
      quarantineEntries: queue?.quarantineEntries ?? null,
      unconfirmed: queue?.unconfirmed ?? null,
      denied: queue?.denied ?? null,
      mismatched: queue?.mismatched ?? null,
      spool: { entries, bytes, bytesMax },
      forwarding: flow,
      reconciliation:
        sweeps === undefined
          ? null
          : {
              lastSuccess: sweeps.lastSuccess,
              pendingTooLong: sweeps.pendingTooLong,
              openExpectations: sweeps.openExpectations,
              foundLastHour: sweeps.sweeps
                .filter(({ startedAt }) => Date.parse(startedAt) > now() - hourMs)
                .reduce((sum, { injected }) => sum + injected, 0),
            },
    };
  };
}

export type ReadOverview = ReturnType<typeof createOverview>;

function toTime(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
