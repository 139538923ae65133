// The ledger of runs in docs/reliability.md: the command prints one row per run, which you can append there.
import { execFileSync } from 'node:child_process';
import type { Report } from './auditor.ts';

export interface Run {
  readonly day: string;
  readonly commit: string;
  /** The text of `serverName`. */
  readonly server: string;
  readonly confirm: 'after' | 'before' | undefined;
  readonly replica: boolean;
  readonly seed: number;
  /** Undefined if the run causes each fault once. */
  readonly minutes: number | undefined;
  readonly perSecond: number;
  readonly faults: number;
  readonly report: Report;
}

const columns = [
  'date',
  'commit',
  'server',
  'mode',
  'seed',
  'minutes',
  'rate',
  'faults',
  'callbacks',
  'answered 200',
  'lost',
  'doubled',
  'late',
  'else wrong',
  'destroyed',
  'forged, of these delivered',
  'never sent, of these found',
];

export const ledgerHead = [row(columns), row(columns.map(() => '---'))].join('\n');

export function ledgerRow({ report, ...run }: Run): string {
  const mode = [run.confirm ?? 'off', ...(run.replica ? ['replica'] : [])].join(', ');
  const { lost, failed, underTwoIds, idsWithTwoResults, late, altered, listedDelivered, unjustified } = report;
  const elseWrong = [altered, listedDelivered, unjustified, report.forgedBelieved].flat();
  const found = report.toBeFound - report.notFound.length;
  return row([
    run.day,
    `\`${run.commit}\``,
    run.server,
    mode,
    String(run.seed),
    run.minutes === undefined ? 'each once' : String(run.minutes),
    String(run.perSecond),
    grouped(run.faults),
    grouped(report.callbacks),
    grouped(report.acknowledged + report.forgedAcknowledged),
    grouped(lost.length + failed.length),
    grouped(underTwoIds.length + idsWithTwoResults.length),
    grouped(late.length),
    grouped(elseWrong.length),
    grouped(report.destroyed),
    report.forged === 0 ? '-' : `${grouped(report.forged)}, ${grouped(report.forgedPassed)}`,
    `${grouped(report.toBeFound)}, ${grouped(found)}`,
  ]);
}

/** The server's name and version, from the reply of `INFO server`. */
export function serverName(info: string): string {
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  return valkey === undefined ? `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? 'unknown'}` : `Valkey ${valkey}`;
}

/** The commit of this checkout, with a `+` if files differ from it. */
export function commitHere(): string {
  return execFileSync('git', ['describe', '--always', '--exclude=*', '--dirty=+'], { encoding: 'utf8' }).trim();
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
