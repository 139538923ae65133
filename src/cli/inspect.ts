// `inspect`: shows everything stored about a callback, or a list of callbacks.
import { amountFilters } from '../callback/amount-check.ts';
import { confirmations } from '../callback/confirmation.ts';
import { Option, type Command } from 'commander';
import { createCallbackIndex, type CallbackIndex, type Finding } from '../store/callbacks/callback-index.ts';
import type { ListQuery } from '../store/callbacks/callback-pages.ts';
import { callbackStates, type CallbackRow, type CallbackView } from '../store/callbacks/callback-view.ts';
import { stateTones } from '../ops/state-tones.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { printable, type Output } from './output.ts';
import { inSession, type Session } from './session.ts';
import { unknownCallback } from './unanswered.ts';
import { parseTime, parseCount } from './arguments.ts';
import { isSuccess } from '../http/http-answer.ts';

const examples = `
Examples:
  payalo-receiver inspect b2p01j3abcdef0000000000000000a1b2
  payalo-receiver inspect --merchant-reference quickstart-001
  payalo-receiver inspect --state failed --from 2026-01-31T00:00:00Z
  payalo-receiver inspect --limit 5 --json

Exit codes: 0 found, 1 nothing found.`;

interface InspectOptions extends Omit<ListQuery, 'fromMs' | 'toMs'> {
  readonly from?: number;
  readonly to?: number;
}

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('show a callback; without a reference, the latest callbacks')
    .argument('[gatewayReference]', "the gateway's reference")
    .option('--merchant-reference <reference>', "find by the merchant's reference instead")
    .addOption(new Option('--state <state>', 'list by state').choices(callbackStates))
    .option('--status <status>', "list by the gateway's status")
    .addOption(new Option('--confirmed <word>', "list by the gateway's confirmation").choices(confirmations))
    .addOption(
      new Option('--amount-check <check>', 'list by paid amount compared with the ordered one').choices(amountFilters),
    )
    .option('--from <time>', 'received at or after, ISO 8601', parseTime)
    .option('--to <time>', 'received before, ISO 8601', parseTime)
    .option('--limit <count>', 'how many', parseCount, 20)
    .option('--cursor <cursor>', 'the next page')
    .option('--brand <brand>', 'needed if there are several brands')
    .addHelpText('after', examples)
    .action(inSession(inspect));
}

async function inspect(session: Session, reference: string | undefined, options: InspectOptions): Promise<ExitCode> {
  const { output, queues } = session;
  const callbackIndex = createCallbackIndex({ redis: await session.redis(), queues });
  if (reference === undefined) return list(output, callbackIndex, options);
  const finding = await callbackIndex.find(reference, options.brand);
  if (finding === undefined) throw unknownCallback(reference);
  const { callback, corrected, others } = finding;
  output.result({ ...callback, corrected, others }, () => printFinding(output, finding));
  return exitCodes.done;
}

async function list(output: Output, callbackIndex: CallbackIndex, options: InspectOptions): Promise<ExitCode> {
  const page = await callbackIndex.list({ ...options, fromMs: options.from, toMs: options.to });
  output.result(page, () => {
    printRows(output, page.data);
    if (page.next !== null) output.complain(`More: --cursor ${page.next}`);
  });
  return page.data.length === 0 && page.next === null ? exitCodes.no : exitCodes.done;
}

function printRows(output: Output, rows: readonly CallbackRow[]): void {
  output.table(
    ['RECEIVED', 'STATE', 'STATUS', 'AMOUNT', 'GATEWAY REFERENCE', 'MERCHANT REFERENCE'],
    rows.map((row) => [
      row.receivedAt,
      { text: row.state, style: stateTones[row.state] || 'dim' },
      row.status ?? '-',
      row.amount === null ? '-' : `${row.amount.value} ${row.amount.currency}`,
      row.gatewayReference ?? `(no callback: job ${row.jobId ?? '-'})`,
      row.merchantReference ?? '-',
    ]),
  );
}

function printFinding(output: Output, { callback, corrected, others }: Finding): void {
  printCallback(output, callback);
  for (const [title, views] of [
    ['Replaced by this correction', corrected],
    ['Other statuses of the same reference', others],
  ] as const) {
    if (views.length === 0) continue;
    output.line();
    output.line(output.paint(title, 'bold'));
    printRows(output, views);
  }
}

function printCallback(output: Output, view: CallbackView): void {
  output.facts([
    ['state', { text: view.state, style: stateTones[view.state] || 'dim' }],
    ['status', view.status],
    ['amount', view.amount === null ? null : `${view.amount.value} ${view.amount.currency}`],
    ['type', view.type],
    ['brand', view.brand],
    ['gatewayReference', view.gatewayReference],
    ['merchantReference', view.merchantReference],
    ['source', view.source],
    ['received', view.receivedAt],
    ['delivered', view.deliveredAt],
    ['next attempt', view.nextAttemptAt],
    ['failed because', view.failedReason],
    ['held because', view.heldReason],
    ['confirmed', view.confirmed],
    ['amount check', view.amountCheck],
    ['duplicates', view.duplicates === 0 ? null : String(view.duplicates)],
    ['sequence', view.sequence === 0 ? null : String(view.sequence)],
    ['webhook-id', view.webhookId],
    ['request', view.requestId],
  ]);
  if (view.attempts.length > 0) {
    output.line();
    output.table(
      ['ATTEMPT', 'AT', 'ANSWER', 'MS'],
      view.attempts.map(({ attempt, at, status, error, ms }) => [
        String(attempt ?? '-'),
        at,
        {
          text: status === undefined ? (error ?? '-') : String(status),
          style: status !== undefined && isSuccess(status) ? 'good' : 'bad',
        },
        ms === undefined ? '-' : String(Math.round(ms)),
      ]),
    );
  }
  if (view.conflicts.length > 0) {
    output.line();
    output.table(
      ['CONFLICT RECEIVED', 'STATUS', 'AMOUNT', 'QUARANTINE ID'],
      view.conflicts.map(({ receivedAt, status, amount, quarantineId }) => [
        receivedAt ?? '-',
        status ?? '-',
        amount ?? '-',
        quarantineId,
      ]),
    );
  }
  output.line();
  output.line(view.body === null ? output.paint('The body is no longer kept.', 'dim') : printable(view.body));
}
