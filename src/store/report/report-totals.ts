// The totals of a report: lines by day, brand, method, currency and status, as requested. Each currency and each transaction
// type has its own lines, since their amounts are never added. Pure.
import * as z from 'zod';
import { addDecimals } from '../../callback/decimal.ts';
import { isMismatch } from '../../callback/amount-check.ts';
import type { ReportRow } from './report-row.ts';

export const reportKeys = ['day', 'brand', 'method', 'currency', 'status'] as const;
export type ReportKey = (typeof reportKeys)[number];

const count = z.int();
const ours = z.int().nullable().describe('Null if all were created before the claims that are still kept here.');

export const reportTotalSchema = z.object({
  /** Day of creation, UTC; only by day. */
  day: z.string().optional(),
  brand: z.string().optional(),
  method: z.string().optional(),
  status: z.string().optional(),
  type: z.string(),
  currency: z.string(),
  count,
  succeeded: count,
  failed: count,
  pending: count,
  /** In any other status, such as reversed. */
  other: count,
  gross: z.string().describe('Sum of the successful transactions; exact decimals.'),
  fees: z.string(),
  net: z.string().describe('Gross minus fees for pay-ins, plus fees for payouts.'),
  received: ours,
  delivered: ours,
  /** Callbacks that never came; reconciliation found them. */
  late: ours,
  corrected: ours,
  mismatched: ours,
});
export type ReportTotal = z.infer<typeof reportTotalSchema>;

export const failureSchema = z.object({ errorCode: z.string(), count });
export type Failure = z.infer<typeof failureSchema>;

export interface Totals {
  add(row: ReportRow): void;
  lines(): ReportTotal[];
  /** Why transactions failed, the most frequent first. */
  failures(): Failure[];
}

export function createTotals(by: readonly ReportKey[]): Totals {
  const lines = new Map<string, ReportTotal>();
  const failures = new Map<string, Failure>();

  function lineOf(row: ReportRow, currency: string): ReportTotal {
    const day = row.createdAtMs === undefined ? 'unknown' : new Date(row.createdAtMs).toISOString().slice(0, 10);
    const parts = {
      ...(by.includes('day') && { day }),
      ...(by.includes('brand') && { brand: row.brand }),
      ...(by.includes('method') && { method: row.method }),
      ...(by.includes('status') && { status: row.status }),
      type: row.type,
      currency,
    };
    const key = JSON.stringify(Object.values(parts));
    const line = lines.get(key) ?? { ...parts, ...nothing() };
    lines.set(key, line);
    return line;
  }

  return {
    add(row) {
      const line = lineOf(row, row.currency);
      line.count += 1;
      countStatus(line, row.status);
      if (row.ours !== 'unknown') countOurs(line, row.ours);
      if (row.status === 'failed') countFailure(failures, row.errorCode);
      if (row.status !== 'success') return;
      if (row.gross !== '') line.gross = addDecimals(line.gross, row.gross);
      if (row.fee !== '') {
        const feeLine = row.feeCurrency === row.currency ? line : lineOf(row, row.feeCurrency);
        feeLine.fees = addDecimals(feeLine.fees, row.fee);
      }
      const net = row.net === '' ? row.gross : row.net;
      if (net !== '') line.net = addDecimals(line.net, net);
    },
    lines: () => [...lines].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line),
    failures: () => [...failures.values()].toSorted((a, b) => b.count - a.count),
  };
}

function nothing() {
  const ours = { received: null, delivered: null, late: null, corrected: null, mismatched: null };
  return { count: 0, succeeded: 0, failed: 0, pending: 0, other: 0, gross: '0', fees: '0', net: '0', ...ours };
}

function countStatus(line: ReportTotal, status: string): void {
  if (status === 'success') line.succeeded += 1;
  else if (status === 'failed') line.failed += 1;
  else if (status === 'pending') line.pending += 1;
  else line.other += 1;
}

function countOurs(line: ReportTotal, ours: Exclude<ReportRow['ours'], 'unknown'>): void {
  const found = ours === 'not-received' ? undefined : ours;
  line.received = counted(line.received, found !== undefined);
  line.delivered = counted(line.delivered, found?.state === 'delivered');
  line.late = counted(line.late, found?.source === 'status' || found?.source === 'records');
  line.corrected = counted(line.corrected, (found?.sequence ?? 0) > 0);
  line.mismatched = counted(line.mismatched, isMismatch(found?.amountCheck));
}

function countFailure(failures: Map<string, Failure>, errorCode: string): void {
  const failure = failures.get(errorCode) ?? { errorCode, count: 0 };
  failure.count += 1;
  failures.set(errorCode, failure);
}

function counted(before: number | null, isSo: boolean): number {
  return (before ?? 0) + (isSo ? 1 : 0);
}
