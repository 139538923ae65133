// What reconciliation found lately, over all brands: `GET /v1/reconciliation` and the console show this.
import * as z from 'zod';
import type { BrandQueue } from '../redis/brand-queue.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { readReconciliationReport, sweepReportSchema } from '../store/reconciliation/reconciliation-report.ts';

const time = z.iso.datetime();

export const reconciliationSchema = z.object({
  lastSuccess: time
    .nullable()
    .describe(
      'When a sweep last ended well while no window was behind, of the brand that is longest behind; null where one never had any.',
    ),
  pendingTooLong: z.int().describe('Transactions pending at the gateway for over an hour.'),
  openExpectations: z.int(),
  sweeps: z.array(sweepReportSchema.extend({ brand: z.string() })).describe('Newest first.'),
  brands: z.array(
    z.object({
      brand: z.string(),
      checkpoint: time.nullable(),
      lastSuccess: time.nullable(),
      lastRecent: time.nullable().describe('Of the sweeps of the last hours.'),
      lastFull: time.nullable().describe('Of the sweeps of the whole RECONCILE_LOOKBACK.'),
      windowsBehind: z.int().describe('Windows that could not be swept and are tried again.'),
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
