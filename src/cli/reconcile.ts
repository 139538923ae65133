// `reconcile`: a sweep by hand over a period, printed as a table.
import type { Command } from 'commander';
import { reconcileByHand } from '../reconcile/reconcile-by-hand.ts';
import { addCounts, noCounts } from '../reconcile/sweep/sweep-counts.ts';
import type { SweepCounts } from '../store/reconciliation/reconciliation-report.ts';
import { parseTime, periodOf } from './arguments.ts';
import { directIntake } from './direct-intake.ts';
import { noteAction } from './operator-session.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { inSession, type Session } from './session.ts';
import { noGateway } from './unanswered.ts';

const examples = `
Examples:
  payalo-receiver reconcile --from 6h --dry-run
  payalo-receiver reconcile --from 2026-01-30 --to 2026-01-31
  payalo-receiver reconcile --from 2026-01-01 --to 2026-01-15 --force

Exit codes: 0 swept, 1 something could not be injected, 69 the gateway did not answer.`;

interface ReconcileOptions {
  readonly from: number;
  readonly to?: number;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly brand?: string;
}

export function addReconcile(program: Command): void {
  program
    .command('reconcile')
    .description("compare a period with the gateway's records, and inject missing callbacks")
    .requiredOption('--from <time>', 'created at or after: ISO 8601, or 2h for two hours ago', parseTime)
    .option('--to <time>', 'created before; default: now', parseTime)
    .option('--dry-run', 'only count')
    .option('--force', 'also inject what RECONCILE_SINCE and DEDUP_TTL exclude; it may be delivered twice')
    .option('--brand <brand>', 'only this brand')
    .addHelpText('after', examples)
    .action(inSession(reconcile));
}

async function reconcile(session: Session, options: ReconcileOptions): Promise<ExitCode> {
  const { output } = session;
  const { dryRun = false, force = false, brand } = options;
  const { fromMs, toMs } = periodOf(options);
  const dependencies = await directIntake(session);
  const rows = new Map<string, Row>();
  const failures: string[] = [];
  const sweep = reconcileByHand(dependencies, { fromMs, toMs, dryRun, force, brand }, new AbortController().signal);
  for await (const { brand: name, window, counts, failure } of sweep) {
    const day = new Date(window.fromMs).toISOString().slice(0, 10);
    const row = rows.get(`${name} ${day}`) ?? { brand: name, day, counts: noCounts() };
    addCounts(row.counts, counts);
    rows.set(`${name} ${day}`, row);
    if (failure !== undefined)
      failures.push(`${name}: the window from ${new Date(window.fromMs).toISOString()} failed: ${failure}`);
    output.progress(window.toMs - fromMs, toMs - fromMs, 'ms of the period');
  }
  if (rows.size === 0) throw noGateway();
  const total = noCounts();
  for (const { counts } of rows.values()) addCounts(total, counts);
  if (!dryRun) await note(session, { fromMs, toMs, brand }, total);
  output.result({ dryRun, days: [...rows.values()], total, failures }, () =>
    output.table(
      ['DAY', 'BRAND', ...columns.map(([title]) => title)],
      [...rows.values(), { day: 'total', brand: '', counts: total }].map(({ day, brand, counts }) => [
        day,
        brand,
        ...columns.map(([, name]) => String(counts[name])),
      ]),
    ),
  );
  for (const failure of failures) output.complain(failure);
  if (failures.length > 0) return exitCodes.unavailable;
  return total.errors > 0 ? exitCodes.no : exitCodes.done;
}

/** The sweep may have delivered something, so it is recorded in the audit trail. */
async function note(
  session: Session,
  { fromMs, toMs, brand }: { fromMs: number; toMs: number; brand: string | undefined },
  { injected, corrections, errors }: SweepCounts,
): Promise<void> {
  const period = `${new Date(fromMs).toISOString()}..${new Date(toMs).toISOString()}`;
  const result = `injected ${injected}, corrections ${corrections}, errors ${errors}`;
  const target = brand === undefined ? period : `${period} of ${brand}`;
  await noteAction(session, 'gateway.reconcile', target, result);
}

interface Row {
  readonly day: string;
  readonly brand: string;
  readonly counts: SweepCounts;
}

const columns: readonly (readonly [title: string, name: keyof SweepCounts])[] = [
  ['SEEN', 'seen'],
  ['KNOWN', 'known'],
  ['PENDING', 'pending'],
  ['EARLY', 'early'],
  ['OTHER', 'other'],
  ['MISSING', 'missing'],
  ['INJECTED', 'injected'],
  ['CORRECTIONS', 'corrections'],
  ['TOO OLD', 'tooOld'],
  ['UNCONFIRMED', 'unconfirmed'],
  ['UNREADABLE', 'unreadable'],
  ['ERRORS', 'errors'],
  ['REVERSED', 'reversed'],
];
