// `audit`: what operators did, exported from the trail in Redis, the oldest first.
import type { Command } from 'commander';
import { auditEntrySchema } from '../ops/audit.ts';
import { csvLine } from '../ops/csv.ts';
import { parseTime } from './arguments.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { auditOf } from './operator-session.ts';
import { inSession, type Session } from './session.ts';

const examples = `
Redis holds the latest 20,000 entries, of at most 400 days. The service's log (event operator.action) has what was done in
the console and the API, whatever LOG_LEVEL says; what commands did is in Redis only.

Examples:
  payalo-receiver audit --from 30d
  payalo-receiver audit --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --csv > audit.csv

Exit codes: 0 done, also where there is nothing.`;

interface AuditOptions {
  readonly from?: number;
  readonly to?: number;
  readonly csv?: true;
}

const columns = auditEntrySchema.keyof().options;

export function addAudit(program: Command): void {
  program
    .command('audit')
    .description('what operators did, the oldest first')
    .option('--from <time>', 'at or after: ISO 8601, or 30d for thirty days ago; all without it', parseTime)
    .option('--to <time>', 'before', parseTime)
    .option('--csv', 'as CSV, for a spreadsheet')
    .addHelpText('after', examples)
    .action(inSession(printTrail));
}

async function printTrail(session: Session, { from = 0, to = Infinity, csv }: AuditOptions): Promise<ExitCode> {
  const { output } = session;
  const entries = await (await auditOf(session)).between(from, to);
  const rows = entries.map((entry) => columns.map((name) => entry[name] ?? ''));
  const head = columns.map((name) => name.toUpperCase());
  output.result({ data: entries }, () => {
    if (csv) process.stdout.write([columns, ...rows].map(csvLine).join(''));
    else if (entries.length === 0) output.line('Nobody has changed anything in that time.');
    else output.table(head, rows);
  });
  return exitCodes.done;
}
