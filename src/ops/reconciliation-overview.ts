// The recent results of reconciliation, over all brands, for `GET /v1/reconciliation` and the console.
import * as z from 'zod';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { readReconciliationReport, sweepReportSchema } from '../store/reconciliation/reconciliation-report.ts';

const time = z.iso.datetime();

export const reconciliationSchema = z.object({
  lastSuccess: time
    .nullable()
    .describe(
      'When a sweep last succeeded with no window left to retry, for the brand where that was longest ago; null if a brand never had one.',
    ),
  pendingTooLong: z.int().describe('Transactions pending at the gateway for over an hour.'),
  openExpectations: z.int(),
  sweeps: z.array(sweepReportSchema.extend({ brand: z.string() })).describe('Newest first.'),
  brands: z.array(
    z.object({
      brand: z.string(),
      checkpoint: time.nullable(),
      lastSuccess: time.nullable(),
      lastRecent: time.nullable().describe('When a sweep of the last hours last succeeded.'),
      lastFull: time.nullable().describe('When a sweep of the whole RECONCILE_LOOKBACK last succeeded.'),
      windowsBehind: z.int().describe('Windows that failed and will be swept again.'),
      pendingTooLong: z.int(),
      openExpectations: z.int(),
    }),
  ),
});

export type ReconciliationOverview = z.infer<typeof reconciliationSchema>;

export interface ReconciliationOverviewDeps {
  readonly redis: RedisConnection;
  readonly queues: ReadonlyMap<string, BrandQueue>;
  readonly now?: () => number;
}

export function createReconciliationOverview({ redis, queues, now = Date.now }: ReconciliationOverviewDeps) {
  return async function reconciliationOverview(brand?: string): Promise<ReconciliationOverview> {
    const chosen = [...queues.values()].filter((queue) => queue.brand === (brand ?? queue.brand));
    const reports = await Promise.all(chosen.map((queue) => readReconciliationReport(redis, queue, now())));
    const successes = reports.map(({ lastSuccess }) => lastSuccess);
    return {
      lastSuccess: successes.includes(null) ? null : (successes.toSorted()[0] ?? null),
      pendingTooLong: reports.reduce((sum, { pendingTooLong }) => sum + pendingTooLong, 0),
      openExpectations: reports.reduce((sum, { openExpectations }) => sum + openExpectations, 0),
      sweeps: reports
        .flatMap(({ brand: name, sweeps }) => sweeps.map((sweep) => ({ brand: name, ...sweep })))
        .toSorted((a, b) => b.startedAt.localeCompare(a.startedAt)),
      brands: reports.map(({ sweeps: _sweeps, ...rest }) => rest),
    };
  };
}

export type ReadReconciliation = ReturnType<typeof createReconciliationOverview>;
