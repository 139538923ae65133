// How the service is doing, in one look: what the console's first page and `GET /v1/overview` show.
//
// What cannot be read (Redis is away) is null; the rest is told all the same.
import * as z from 'zod';
import type { BrandQueue } from '../queue/brand-queue.ts';
import type { RedisConnection } from '../queue/connections.ts';
import { readForwarding } from '../queue/forwarding.ts';
import type { ReadQueueState } from './queue-state.ts';
import { reconciliationSchema, type ReadReconciliation } from './reconciliation-overview.ts';
import type { SpoolReader } from './list-spooled.ts';

const time = z.iso.datetime();

export const forwardingSchema = z.object({
  brand: z.string(),
  paused: z.boolean(),
  breaker: z.enum(['closed', 'open', 'recovering']),
  openSince: time.nullable(),
});

export const overviewSchema = z.object({
  redis: z.object({ up: z.boolean(), usedBytes: z.number().nullable(), maxBytes: z.number().nullable() }),
  jobs: z
    .object({
      queued: z.int(),
      delivering: z.int(),
      retrying: z.int(),
      delivered: z.int(),
      failed: z.int(),
    })
    .nullable(),
  oldestWaitingSeconds: z.number().nullable(),
  quarantineEntries: z.int().nullable(),
  spool: z.object({ entries: z.int(), bytes: z.int(), bytesMax: z.int() }),
  forwarding: z.array(forwardingSchema).nullable(),
  reconciliation: reconciliationSchema.omit({ sweeps: true, brands: true }).nullable(),
});

export type Overview = z.infer<typeof overviewSchema>;

export interface OverviewDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly queueState: ReadQueueState;
  readonly reconciliation: ReadReconciliation;
  readonly spool: SpoolReader;
}

export function createOverview({ redis, queues, queueState, reconciliation, spool }: OverviewDeps) {
  async function forwarding(): Promise<Overview['forwarding']> {
    return Promise.all(
      [...queues.values()].map(async (queue) => {
        const { openSinceMs, ...rest } = await readForwarding(redis, queue);
        return {
          brand: queue.brand,
          ...rest,
          openSince: openSinceMs === undefined ? null : new Date(openSinceMs).toISOString(),
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
      quarantineEntries: queue?.quarantineEntries ?? null,
      spool: { entries, bytes, bytesMax },
      forwarding: flow,
      reconciliation:
        sweeps === undefined
          ? null
          : {
              lastSuccess: sweeps.lastSuccess,
              pendingTooLong: sweeps.pendingTooLong,
              openExpectations: sweeps.openExpectations,
            },
    };
  };
}

export type ReadOverview = ReturnType<typeof createOverview>;
