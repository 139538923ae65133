// The data of the page Report: its period comes from the address, and a report is read only if there is one.
import * as z from 'zod';
import { reportKeys, type ReportKey } from '../../store/report/report-totals.ts';
import type { ReadReport } from '../../store/report/read-report.ts';
import { periodOf, readTotals } from '../api/report-routes.ts';
import type { ReportView } from './report-page.ts';

const dayMs = 86_400_000;
const daysShown = 7;

const date = z.iso.date().optional().catch(undefined);
const key = z.enum(reportKeys);
const querySchema = z.object({
  from: date,
  to: date,
  by: z
    .union([z.array(key), key.transform((one) => [one])])
    .optional()
    .catch(undefined),
});

export async function readReportView(readReport: ReadReport, query: unknown, nowMs: number): Promise<ReportView> {
  const { from, to, by = [] } = querySchema.parse(query);
  return from === undefined || to === undefined ? empty(nowMs) : read(readReport, { from, to, by });
}

function empty(nowMs: number): ReportView {
  return { from: dayOf(nowMs - (daysShown - 1) * dayMs), to: dayOf(nowMs), by: ['day'] };
}

interface Asked {
  readonly from: string;
  readonly to: string;
  readonly by: readonly ReportKey[];
}

async function read(readReport: ReadReport, asked: Asked): Promise<ReportView> {
  const period = periodOf({ from: Date.parse(asked.from), to: Date.parse(asked.to) + dayMs });
  if ('problem' in period) return { ...asked, refused: period.problem.detail };
  const found = await readTotals(readReport, period.period, asked.by);
  if ('problem' in found) return { ...asked, refused: found.problem.detail };
  const days = asked.by.includes('day') ? found.report.data : undefined;
  return { ...asked, report: found.report, days };
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
