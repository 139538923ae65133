// `quarantine`: lists, shows, releases and deletes refused requests that carried a genuine key.
import type { Command } from 'commander';
import type { QuarantineEntry, QuarantineSummary } from '../intake/quarantine/quarantine.ts';
import { parseCount } from './arguments.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { operatorSession } from './operator-session.ts';
import { printable, type Output } from './output.ts';
import { inSession, type Session } from './session.ts';

const examples = `
Examples:
  payalo-receiver quarantine
  payalo-receiver quarantine show q1a2b3c4
  payalo-receiver quarantine release q1a2b3c4 --reference b2p01j3abcdef0000000000000000a1b2
  payalo-receiver quarantine delete q1a2b3c4

Exit codes: 0 done (also with an empty list), 1 no such entry, or intake did not accept it.`;

export function addQuarantine(program: Command): void {
  const quarantine = program
    .command('quarantine')
    .description('refused requests that carried a genuine key')
    .addHelpText('after', examples);

  quarantine
    .command('list', { isDefault: true })
    .description('list the entries, newest first')
    .option('--limit <count>', 'how many', parseCount, 50)
    .option('--cursor <cursor>', 'the next page')
    .action(inSession(list));

  quarantine.command('show').description('show one entry with its body').argument('<id>').action(inSession(show));

  quarantine
    .command('release')
    .description('hand an entry to intake as if it had just come')
    .argument('<id>')
    .option('--reference <gatewayReference>', 'if the body names no usable one')
    .action(inSession(release));

  quarantine.command('delete').description('delete an entry for good').argument('<id>').action(inSession(discard));
}

async function list(session: Session, options: { limit: number; cursor?: string }): Promise<ExitCode> {
  const { output } = session;
  const { entries, next } = await (await operatorSession(session)).quarantine.list(options);
  output.result({ data: entries, next }, () => printEntries(output, entries));
  if (next !== null) output.complain(`More: --cursor ${next}`);
  return exitCodes.done;
}

async function show(session: Session, id: string): Promise<ExitCode> {
  const { output } = session;
  const entry = await (await operatorSession(session)).quarantine.get(id);
  if (entry === undefined) throw unknownEntry(id);
  output.result({ ...entry, body: entry.body.toString('utf8') }, () => printEntry(output, entry));
  return exitCodes.done;
}

async function release(session: Session, id: string, { reference }: { reference?: string }): Promise<ExitCode> {
  const { output, actor } = session;
  const outcome = await (await operatorSession(session)).actions.release(actor, id, reference);
  if (outcome.kind === 'unknown') throw unknownEntry(id);
  output.result({ id, ...outcome }, () =>
    output.line('detail' in outcome ? `Not released: ${outcome.detail}` : `Released: ${outcome.outcome}.`),
  );
  return outcome.kind === 'released' ? exitCodes.done : exitCodes.no;
}

async function discard(session: Session, id: string): Promise<ExitCode> {
  const { output, actor } = session;
  const { kind } = await (await operatorSession(session)).actions.discard(actor, id);
  if (kind === 'unknown') throw unknownEntry(id);
  output.result({ id, deleted: true }, () => output.line('Deleted.'));
  return exitCodes.done;
}

function unknownEntry(id: string): CommandError {
  return new CommandError('no', `The quarantine has no entry ${printable(id)}.`);
}

function printEntries(output: Output, entries: readonly QuarantineSummary[]): void {
  if (entries.length === 0) return output.line('Nothing is in quarantine.');
  output.table(
    ['RECEIVED', 'REASON', 'GATEWAY REFERENCE', 'BYTES', 'ID'],
    entries.map(({ receivedAt, reason, gatewayReference, bytes, id }) => [
      receivedAt,
      { text: reason, style: 'warn' },
      gatewayReference ?? '-',
      String(bytes),
      id,
    ]),
  );
}

function printEntry(output: Output, entry: QuarantineEntry): void {
  output.facts([
    ['id', entry.id],
    ['reason', { text: entry.reason, style: 'warn' }],
    ['detail', entry.detail],
    ['brand', entry.brand],
    ['received', entry.receivedAt],
    ['gatewayReference', entry.gatewayReference],
    ['request', entry.requestId],
  ]);
  output.line();
  output.line(printable(entry.body.toString('utf8')));
}
