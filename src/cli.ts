#!/usr/bin/env node
// The operator commands. They work on REDIS_URL and SPOOL_DIR directly, so they also work when the service is down.
//
// Exit codes: 0 done; 1 the answer is no (unknown reference, a check that failed, not delivered); 2 wrong usage;
// 69 Redis or another service could not be reached; 78 the configuration is wrong. With --json standard output is one JSON
// document, `{ "error": ... }` where there is no result.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { addAudit } from './cli/audit.ts';
import { addBrand } from './cli/brand.ts';
import { addConfig } from './cli/config.ts';
import { addDoctor } from './cli/doctor.ts';
import { addErase } from './cli/erase.ts';
import { exitCodes } from './cli/exit-codes.ts';
import { addInspect } from './cli/inspect.ts';
import { errorDocument } from './cli/output.ts';
import { addPayin } from './cli/payin.ts';
import { addQuarantine } from './cli/quarantine.ts';
import { addReconcile } from './cli/reconcile.ts';
import { addReplay } from './cli/replay.ts';
import { addSend } from './cli/send.ts';
import { addSimulate } from './cli/simulate.ts';
import { addSpool } from './cli/spool.ts';
import { addVerify } from './cli/verify.ts';
import { packageVersion } from './telemetry/metrics.ts';

export function createProgram(): Command {
  const program = new Command('payalo-receiver')
    .description('Looks into and acts on the callbacks of a payalo-receiver: found, replayed, checked, erased.')
    .version(packageVersion())
    .option('--json', 'print one JSON document for programs; text for people goes to standard error')
    .showHelpAfterError('(run it with --help for examples)')
    .exitOverride()
    .addHelpText('after', programHelp);
  addInspect(program);
  addReplay(program);
  addQuarantine(program);
  addReconcile(program);
  addVerify(program);
  addPayin(program);
  addSend(program);
  addDoctor(program);
  addSpool(program);
  addErase(program);
  addBrand(program);
  addAudit(program);
  addConfig(program);
  addSimulate(program);
  return program;
}

const programHelp = `
Configured as the service is: by the environment, and by .env in the working folder.

Examples:
  payalo-receiver inspect b2p01j3abcdef0000000000000000a1b2
  payalo-receiver inspect --merchant-reference quickstart-001 --json
  payalo-receiver replay --state failed --from 24h
  payalo-receiver doctor --url https://payments.example.com/webhooks/payalo

Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 69 not reachable, 78 wrong configuration.`;

export async function main(argv: readonly string[]): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreReaderGone);
  try {
    await createProgram().parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end here too, with 0; everything else that commander refuses is wrong usage.
    if (error.exitCode === 0) return;
    const message = error.code === 'commander.help' ? 'Name a command; --help lists them.' : error.message;
    if (argv.includes('--json')) process.stdout.write(`${errorDocument(message)}\n`);
    process.exitCode = exitCodes.usage;
  }
}

/** `payalo-receiver ... | head`: the work is finished anyway. */
function ignoreReaderGone(error: Error & { code?: unknown }): void {
  if (error.code !== 'EPIPE') throw error;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
