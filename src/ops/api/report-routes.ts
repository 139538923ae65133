// `/v1/report` and `/v1/report.csv`: the report of the CLI, for a period of at most 92 days.
import { Readable } from 'node:stream';
import * as z from 'zod';
import type { ReadReport, ReportEvent, ReportPeriod } from '../../store/report/read-report.ts';
import { rowCells, rowHead, totalCells, totalHead } from '../../store/report/report-columns.ts';
import {
  createTotals,
  failureSchema,
  reportKeys,
  reportTotalSchema,
  type ReportKey,
} from '../../store/report/report-totals.ts';
import { byteOrderMark, csvDocument, csvLine } from '../csv.ts';
import { brandQuery, time } from './callback-routes.ts';
import { refusal, route, type Answer, type Refusal, type Route } from './route.ts';

const periodMaxMs = 92 * 86_400_000;

const keys = z
  .string()
  .default('currency')
  .transform((text) => text.split(',').map((word) => word.trim()))
  .pipe(z.array(z.enum(reportKeys)))
  .meta({ pattern: `^(${reportKeys.join('|')})(,(${reportKeys.join('|')}))*$` })
  .describe(`Some of ${reportKeys.join(',')}, separated by commas. Type and currency always have lines of their own.`);

const querySchema = brandQuery.extend({
  from: time.describe('Time of creation at the gateway, inclusive; ISO 8601 with an offset.'),
  to: time.describe('Time of creation, exclusive; at most 92 days after `from`.'),
  by: keys,
});
const csvQuerySchema = querySchema.extend({
  transactions: z
    .stringbool()
    .default(false)
    .meta({ enum: ['true', 'false'] }),
});

export const reportSchema = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  data: z.array(reportTotalSchema),
  failures: z.array(failureSchema).describe('Why transactions failed.'),
  denied: z.int().describe('Callbacks of the period that the gateway does not know.'),
});
export type Report = z.infer<typeof reportSchema>;

type Period = { readonly period: ReportPeriod } | Refusal;

/** 422 for a period that does not end, or is too long. */
export function periodOf({
  from,
  to,
  brand,
}: {
  from?: number | undefined;
  to?: number | undefined;
  brand?: string | undefined;
}): Period {
  if (from === undefined || to === undefined)
    return badPeriod('A report needs a beginning (`from`) and an end (`to`).');
  if (to <= from) return badPeriod('`to` must be after `from`.');
  if (to - from > periodMaxMs)
    return badPeriod('A report covers at most 92 days; the command `report` accepts longer periods.');
  return { period: { fromMs: from, toMs: to, brand } };
}

function badPeriod(detail: string): Refusal {
  return refusal(422, 'bad-period', detail);
}

/** The whole report; a problem if the gateway does not answer. */
export async function readTotals(
  readReport: ReadReport,
  period: ReportPeriod,
  by: readonly ReportKey[],
): Promise<{ readonly report: Report } | Refusal> {
  const totals = createTotals(by);
  let denied = 0;
  for await (const event of readReport(period, new AbortController().signal)) {
    if (event.kind === 'rows') for (const row of event.rows) totals.add(row);
    if (event.kind === 'denied') ({ denied } = event);
    if (isUnanswered(event)) return unanswered(event);
  }
  const [from, to] = [new Date(period.fromMs).toISOString(), new Date(period.toMs).toISOString()];
  return { report: { from, to, data: totals.lines(), failures: totals.failures(), denied } };
}

type Unanswered = Extract<ReportEvent, { kind: 'failed' | 'no-gateway' }>;

function isUnanswered(event: ReportEvent): event is Unanswered {
  return event.kind === 'failed' || event.kind === 'no-gateway';
}

function unanswered(event: Unanswered): Refusal {
  if (event.kind === 'no-gateway')
    return refusal(422, 'no-gateway', 'No brand has a gateway to ask: GATEWAY_BASE_URL is not set.');
  const detail = `The gateway of ${event.brand} did not answer (${event.reason}).`;
  return refusal(502, 'gateway-unavailable', detail);
}

const unanswerable = {
  422: { description: 'A period without an end, or over 92 days' },
  502: { description: 'The gateway did not answer' },
};

export function reportRoutes(readReport: ReadReport): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/report',
      needs: 'read',
      summary: "The gateway's records of a period, and what was received and delivered here",
      input: z.object({ query: querySchema }),
      answers: {
        200: { description: 'The totals', schema: reportSchema },
        ...unanswerable,
      },
      async handle({ query }) {
        const asked = periodOf(query);
        if ('problem' in asked) return asked;
        const read = await readTotals(readReport, asked.period, query.by);
        return 'problem' in read ? read : { status: 200, body: read.report };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/report.csv',
      needs: 'read',
      summary: 'The report as CSV for a spreadsheet: totals, or each transaction',
      input: z.object({ query: csvQuerySchema }),
      answers: {
        200: { description: 'UTF-8 with a byte order mark, RFC 4180', schema: z.string(), mediaType: 'text/csv' },
        ...unanswerable,
      },
      handle: ({ query }) => readCsv(readReport, query),
    }),
  ];
}

/** Totals, or with `transactions=true` each transaction as it is read. */
async function readCsv(readReport: ReadReport, query: z.infer<typeof csvQuerySchema>): Promise<Answer> {
  const { by, transactions } = query;
  const asked = periodOf(query);
  if ('problem' in asked) return asked;
  const name = `report-${new Date(asked.period.fromMs).toISOString().slice(0, 10)}.csv`;
  if (transactions) {
    const events = readReport(asked.period, new AbortController().signal);
    const first = await events.next();
    if (!first.done && isUnanswered(first.value)) return unanswered(first.value);
    return { csv: Readable.from(transactionLines(first, events)), name };
  }
  const read = await readTotals(readReport, asked.period, by);
  if ('problem' in read) return read;
  const rows = read.report.data.map((line) => totalCells(by, line));
  return { csv: csvDocument(totalHead(by), rows), name };
}

/** If the gateway fails in the middle, the connection is cut, so that a part does not look complete. */
async function* transactionLines(
  first: IteratorResult<ReportEvent, unknown>,
  events: AsyncGenerator<ReportEvent>,
): AsyncGenerator<string> {
  yield byteOrderMark + csvLine(rowHead);
  try {
    for (let read = first; !read.done; read = await events.next()) {
      const event = read.value;
      if (event.kind === 'rows') yield event.rows.map((row) => csvLine(rowCells(row))).join('');
      if (isUnanswered(event)) throw new Error('The gateway did not answer.');
    }
  } finally {
    // A client that disconnects ends the stream, and with it this generator and its reads.
    await events.return(undefined);
  }
}
