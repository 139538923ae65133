// `audit`: exports the audit trail from Redis, oldest first.
import type { Command } from 'commander';
import { auditEntrySchema } from '../ops/audit.ts';
import { csvLine } from '../ops/csv.ts';
import { parseTime } from './arguments.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { auditOf } from './operator-session.ts';
import { inSession, type Session } from './session.ts';

const examples = `
Redis holds the latest 20,000 entries, of at most 400 days. The service's log (event operator.action) has the actions of
the console and the API at any LOG_LEVEL; those of commands are only in Redis.

Examples:
  payalo-receiver audit --from 30d
  payalo-receiver audit --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --csv > audit.csv

Exit codes: 0 done, even if there are no entries.`;

interface AuditOptions {
  readonly from?: number;
  readonly to?: number;
  readonly csv?: true;
}

const columns = auditEntrySchema.keyof().options;

export function addAudit(program: Command): void {
  program
    .command('audit')
    .description('show what operators did, oldest first')
    .option('--from <time>', 'at or after: ISO 8601, or 30d for thirty days ago; default: all', parseTime)
    .option('--to <time>', 'before', parseTime)
    .option('--csv', 'print CSV for a spreadsheet')
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
    else if (entries.length === 0) output.line('No operator changed anything in that period.');
    else output.table(head, rows);
  });
  return exitCodes.done;
}
