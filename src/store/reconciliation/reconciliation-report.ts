// What the last sweeps of a brand found: kept in Redis, shown by `GET /v1/reconciliation` and the console.
import * as z from 'zod';
import { keysOf, type BrandQueue } from '../../redis/brand-queue.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { countExpectations } from './expectations.ts';
import { readSweepState } from './sweep-state.ts';
import { countPendingSince } from './watched.ts';
import { parseJson } from '../../callback/json-text.ts';

const count = z.int().min(0);

/** What became of the transactions of a window; each is counted in one of them, `seen` and `missing` apart. */
export const sweepCountsSchema = z.object({
  seen: count,
  /** Here already, and saying the same. */
  known: count,
  pending: count,
  /** Terminal, but their callbacks may still come (RECONCILE_GRACE). */
  early: count,
  /** In a status that is neither pending nor terminal. */
  other: count,
  /** Was success here, stands otherwise at the gateway, and no callback had said so: delivered as its own kind. */
  reversed: count.default(0),
  /** Terminal and unknown here after RECONCILE_GRACE. */
  missing: count,
  /** Of the missing, those that went through intake. */
  injected: count,
  /** Delivered anew because the gateway's truth differs from what was delivered. */
  corrections: count,
  /** Unknown here, and created before RECONCILE_SINCE or longer ago than DEDUP_TTL. */
  tooOld: count,
  /** Of the missing and the different, those whose status call says otherwise, or could not be had. */
  unconfirmed: count.default(0),
  /** Records that could not be read. */
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
  /** Why it ended before its time; absent on a sweep that ended well. */
  failure: z.string().optional(),
});

export type SweepReport = z.infer<typeof sweepReportSchema>;

export interface ReconciliationReport {
  readonly brand: string;
  /** ISO time before which everything was looked at; null before the first sweep. */
  readonly checkpoint: string | null;
  /** When a sweep last ended well while no window was behind. */
  readonly lastSuccess: string | null;
  readonly lastRecent: string | null;
  readonly lastFull: string | null;
  /** Windows that could not be swept and are tried again, apart from the others. */
  readonly windowsBehind: number;
  readonly pendingTooLong: number;
  readonly openExpectations: number;
  /** Newest first. */
  readonly sweeps: readonly SweepReport[];
}

export const sweepReportsMax = 100;
export const pendingTooLongMs = 3_600_000;
/** Clocks of different machines may differ by so much. */
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
  // What a clock that was ahead has written would look fresh for as long as it was ahead.
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
