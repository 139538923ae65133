// `report`: the gateway's records of a period, and beside them what was received and delivered here.
import { once } from 'node:events';
import { InvalidArgumentError, type Command } from 'commander';
import { byteOrderMark, csvDocument, csvLine } from '../ops/csv.ts';
import { createReport } from '../reconcile/report.ts';
import { rowCells, rowHead, rowObject, totalCells, totalHead } from '../store/report/report-columns.ts';
import type { ReportRow } from '../store/report/report-row.ts';
import { createTotals, reportKeys, type ReportKey } from '../store/report/report-totals.ts';
import { parseTime, periodOf } from './arguments.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { inSession, type Session } from './session.ts';
import { noGateway } from './unanswered.ts';

const examples = `
Gross, fees and net are exact, cover successful transactions only, and are never added across currencies. Net is gross minus the fee
for pay-ins, and plus the fee for payouts. Columns about this service are empty if the period is older than its claims (DEDUP_TTL).

Examples:
  payalo-receiver report --from 2026-01-01 --to 2026-02-01 --by day,method
  payalo-receiver report --from 2026-01-01 --to 2026-02-01 --transactions --csv > january.csv

Exit codes: 0 done, 2 wrong usage, 69 the gateway did not answer.`;

interface ReportOptions {
  readonly from: number;
  readonly to: number;
  readonly by: readonly ReportKey[];
  readonly transactions?: true;
  readonly csv?: true;
  readonly brand?: string;
}

export function addReport(program: Command): void {
  program
    .command('report')
    .description("show the gateway's records of a period, and what was received and delivered here")
    .requiredOption('--from <time>', 'created at or after: ISO 8601, or 30d for thirty days ago', parseTime)
    .requiredOption('--to <time>', 'created before', parseTime)
    .option('--by <keys>', `totals by these: ${reportKeys.join(',')}`, parseKeys, ['currency'])
    .option('--transactions', 'list each transaction instead of totals')
    .option('--csv', 'print CSV for a spreadsheet')
    .option('--brand <brand>', 'only this brand')
    .addHelpText('after', examples)
    .action(inSession(report));
}

function parseKeys(text: string): ReportKey[] {
  return text.split(',').map((word) => {
    const key = reportKeys.find((known) => known === word.trim());
    if (key === undefined) throw new InvalidArgumentError(`It must be some of ${reportKeys.join(',')}.`);
    return key;
  });
}

async function report(session: Session, options: ReportOptions): Promise<ExitCode> {
  const period = { ...periodOf(options), brand: options.brand };
  const { config, log, output } = session;
  const redis = await session.redis();
  const read = createReport({ config, log, redis });
  const totals = createTotals(options.by);
  const print = options.transactions === true ? rowPrinter(options, output.isJson) : undefined;
  let denied = 0;
  for await (const event of read(period, new AbortController().signal)) {
    switch (event.kind) {
      case 'rows':
        for (const row of event.rows) totals.add(row);
        await print?.rows(event.rows);
        break;
      case 'progress':
        output.progress(Math.round(event.share * 100), 100, '% read');
        break;
      case 'denied':
        ({ denied } = event);
        break;
      case 'no-gateway':
        throw noGateway();
      case 'failed':
        throw new CommandError(
          'unavailable',
          `${event.brand}: the gateway did not answer (${event.reason}); the report is not complete.`,
        );
    }
  }
  if (print !== undefined) return print.end();
  printTotals(session, { ...options, totals, denied });
  return exitCodes.done;
}

/** Line by line, so that memory does not grow with the period. */
function rowPrinter({ csv }: ReportOptions, isJson: boolean) {
  let count = 0;
  if (isJson) write('[');
  else write(csv ? byteOrderMark + csvLine(rowHead) : `${rowHead.join('  ')}\n`);
  return {
    async rows(rows: readonly ReportRow[]): Promise<void> {
      for (const row of rows) {
        if (isJson) write(`${count === 0 ? '' : ','}\n${JSON.stringify(rowObject(row))}`);
        else write(csv ? csvLine(rowCells(row)) : `${rowCells(row).map(String).join('  ')}\n`);
        count += 1;
      }
      await taken();
    },
    end(): ExitCode {
      if (isJson) write('\n]\n');
      return exitCodes.done;
    },
  };
}

interface Printed extends ReportOptions {
  readonly totals: ReturnType<typeof createTotals>;
  readonly denied: number;
}

function printTotals({ output }: Session, { totals, denied, by, csv }: Printed): void {
  const [lines, failures] = [totals.lines(), totals.failures()];
  output.result({ data: lines, failures, denied }, () => {
    const rows = lines.map((line) => totalCells(by, line));
    if (csv) {
      process.stdout.write(csvDocument(totalHead(by), rows));
      return;
    }
    output.table(
      totalHead(by).map((name) => name.toUpperCase()),
      rows.map((cells) => cells.map((cell) => String(cell ?? ''))),
    );
    for (const { errorCode, count } of failures)
      output.line(`failed: ${count} x ${errorCode === '' ? 'no reason' : errorCode}`);
    if (denied > 0) output.line(`${denied} callbacks of the period are denied: the gateway does not know them.`);
  });
}

function write(text: string): void {
  process.stdout.write(text);
}

/** Waits until the reader of the output has room: unread output is kept in memory. */
async function taken(): Promise<void> {
  if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
}
