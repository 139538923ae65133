// `verify`: proof for an auditor that transactions that ended at the gateway were received and delivered here.
import type { Command } from 'commander';
import { claimsSinceMs, verify } from '../reconcile/verify.ts';
import type { Difference } from '../reconcile/verify-event.ts';
import { parseTime, periodOf } from './arguments.ts';
import { directIntake } from './direct-intake.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { inSession, type Session } from './session.ts';
import { noGateway } from './unanswered.ts';

const examples = `
Examples:
  payalo-receiver verify --from 2026-01-30 --to 2026-01-31
  payalo-receiver verify --from 24h --json

Exit codes: 0 no difference, 1 differences, 2 the period is older than the claims here (DEDUP_TTL),
69 the gateway did not answer.`;

interface VerifyOptions {
  readonly from: number;
  readonly to?: number;
  readonly brand?: string;
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('compare what ended at the gateway with what was received and delivered here, in both directions')
    .requiredOption('--from <time>', 'created at or after: ISO 8601, or 2h for two hours ago', parseTime)
    .option('--to <time>', 'created before; default: now', parseTime)
    .option('--brand <brand>', 'only this brand')
    .addHelpText('after', examples)
    .action(inSession(verifyPeriod));
}

async function verifyPeriod(session: Session, options: VerifyOptions): Promise<ExitCode> {
  const { output } = session;
  const { brand } = options;
  const { fromMs, toMs } = periodOf(options);
  const dependencies = await directIntake(session);
  const sinceMs = claimsSinceMs(dependencies);
  if (fromMs < sinceMs) {
    const since = new Date(sinceMs).toISOString();
    throw new CommandError(
      'usage',
      `Older than the claims here (DEDUP_TTL): only periods from ${since} on can be verified.`,
    );
  }
  const differences: Difference[] = [];
  let terminal = 0;
  let compared = 0;
  for await (const event of verify(dependencies, { fromMs, toMs, brand }, new AbortController().signal)) {
    switch (event.kind) {
      case 'difference':
        differences.push(event.difference);
        if (!output.isJson) output.line(lineOf(event.difference));
        break;
      case 'compared':
        terminal += event.terminal;
        compared += 1;
        break;
      case 'failed':
        throw new CommandError(
          'unavailable',
          `${event.brand}: the gateway did not answer (${event.reason}); nothing is proven.`,
        );
    }
  }
  if (compared === 0) throw noGateway();
  output.result({ terminal, differences }, () =>
    output.line(`${terminal} ended at the gateway, ${differences.length} differ here.`),
  );
  return differences.length === 0 ? exitCodes.done : exitCodes.no;
}

function lineOf({ brand, gatewayReference, merchantReference, kind, atGateway, here }: Difference): string {
  const what = {
    'not-received': 'not received',
    contradicts: `received as ${here}`,
    'not-delivered': `not delivered: ${here}`,
    unreadable: 'so it could not be compared',
    'unknown-at-gateway': `received as ${here}`,
  }[kind];
  return printable(`${brand} ${gatewayReference} (${merchantReference ?? '-'}): ${atGateway} at the gateway, ${what}`);
}
