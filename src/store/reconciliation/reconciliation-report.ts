// The findings of a brand's last sweeps: stored in Redis, shown by `GET /v1/reconciliation` and the console.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { countExpectations } from './expectations.ts';
import { readSweepState } from './sweep-state.ts';
import { countPendingSince } from './watched.ts';
import { parseJson } from '../../callback/json-text.ts';

const count = z.int().min(0);

/** The outcome of a window's transactions. Each is in one category; `seen` and `missing` are totals. */
export const sweepCountsSchema = z.object({
  seen: count,
  /** Received, and in agreement. */
  known: count,
  pending: count,
  /** Terminal, but their callbacks may still come (RECONCILE_GRACE). */
  early: count,
  /** In a status that is neither pending nor terminal. */
  other: count,
  /** Was success here; the gateway has another status and sent no callback: delivered as a kind of its own. */
  reversed: count.default(0),
  /** Terminal, and still not received after RECONCILE_GRACE. */
  missing: count,
  /** Missing ones that were handed to intake. */
  injected: count,
  /** Delivered again because the gateway's result differs from what was delivered. */
  corrections: count,
  /** Not received, and created before RECONCILE_SINCE or longer ago than DEDUP_TTL. */
  tooOld: count,
  /** Missing or different ones whose status call contradicts the list or had no answer. */
  unconfirmed: count.default(0),
  /** Records that could not be parsed. */
  unreadable: count.default(0),
  errors: count,
});

export type SweepCounts = z.infer<typeof sweepCountsSchema>;

export const sweepReportSchema = z.object({
  kind: z.enum(['recent', 'full']),
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  startedAt: z.iso.datetime(),
  ms: count,
  ...sweepCountsSchema.shape,
  /** Why it ended early; absent if the sweep succeeded. */
  failure: z.string().optional(),
});

export type SweepReport = z.infer<typeof sweepReportSchema>;

export interface ReconciliationReport {
  readonly brand: string;
  /** ISO time up to which everything was checked; null before the first sweep. */
  readonly checkpoint: string | null;
  /** When a sweep last succeeded with no window left to retry. */
  readonly lastSuccess: string | null;
  readonly lastRecent: string | null;
  readonly lastFull: string | null;
  /** Windows that failed and will be swept again. */
  readonly windowsBehind: number;
  readonly pendingTooLong: number;
  readonly openExpectations: number;
  /** Newest first. */
  readonly sweeps: readonly SweepReport[];
}

export const sweepReportsMax = 100;
export const pendingTooLongMs = 3_600_000;
/** Tolerated difference between the clocks of different machines. */
const skewMs = 600_000;

export async function storeSweepReport(redis: RedisConnection, queue: BrandQueue, report: SweepReport): Promise<void> {
  const key = keysOf.sweepReports(queue);
  await redis.lpush(key, JSON.stringify(report));
  await redis.ltrim(key, 0, sweepReportsMax - 1);
}

export async function readReconciliationReport(
  redis: RedisConnection,
  queue: BrandQueue,
  nowMs: number,
): Promise<ReconciliationReport> {
  const [texts, state, pendingTooLong, openExpectations] = await Promise.all([
    redis.lrange(keysOf.sweepReports(queue), 0, sweepReportsMax - 1),
    readSweepState(redis, queue),
    countPendingSince(redis, queue, nowMs - pendingTooLongMs),
    countExpectations(redis, queue),
  ]);
  const sweeps = texts.map(parseReport).filter((report) => report !== undefined);
  const { allMs, recentMs, fullMs } = state.endedWell ?? {};
  // A time written by a clock that was ahead would look fresh for too long.
  const toTime = (ms: number | undefined) =>
    ms === undefined || ms > nowMs + skewMs ? null : new Date(ms).toISOString();
  return {
    brand: queue.brand,
    checkpoint: toTime(state.checkpointMs),
    lastSuccess: toTime(allMs),
    lastRecent: toTime(recentMs),
    lastFull: toTime(fullMs),
    windowsBehind: (state.behind ?? []).filter(({ isSwept }) => !isSwept).length,
    pendingTooLong,
    openExpectations,
    sweeps,
  };
}

function parseReport(text: string): SweepReport | undefined {
  return sweepReportSchema.safeParse(parseJson(text)).data;
}
